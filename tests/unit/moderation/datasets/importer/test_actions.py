"""Labels from a file of actions: the last action within the label window decides, as in the lake."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from moderation.datasets.history import LabelledComment
from moderation.datasets.importer import Import, Stated, find_inputs, import_files, parse_columns
from moderation.datasets.importer.actions import (
    Immature,
    Labelled,
    RecordedActions,
    StatedActions,
    parse_action_columns,
    read_actions,
)
from moderation.datasets.importer.report import Reason
from moderation.errors import ConfigurationError, DatasetError
from moderation.timestamps import HOUR_US
from tests.support.imports import MAY_1_US

MAY_1_S = MAY_1_US // 1_000_000
HOUR_S = 3_600


def write(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def comments(tmp_path: Path, *rows: str) -> Path:
    return write(tmp_path / "comments.csv", "id,body,created_utc", *rows)


def actions(tmp_path: Path, *rows: str) -> Path:
    return write(tmp_path / "actions.csv", "target,action,time", *rows)


def recorded(path: Path, window_hours: float = 2, columns: str = "", accepted: tuple[str, ...] = ()) -> RecordedActions:
    stated = StatedActions(parse_action_columns([columns]), window_hours)
    return read_actions(find_inputs([str(path)], io.BytesIO)[0], stated, accepted=accepted)


def read(
    files: Path, actions: RecordedActions, accepted: tuple[str, ...] = (), **stated: Any
) -> tuple[Import, list[LabelledComment]]:
    inputs = find_inputs([str(files)], io.BytesIO)
    imported = import_files(inputs, Stated(**stated), accepted=accepted, actions=actions)
    return imported, list(imported.comments())


def at(hours: float) -> int:
    return MAY_1_S + round(hours * HOUR_S)


def test_the_last_action_within_the_window_decides(tmp_path: Path) -> None:
    files = comments(tmp_path, *(f"c{n},text {n},{at(0)}" for n in range(6)))
    log = actions(
        tmp_path,
        f"c1,remove,{at(1)}",
        f"c2,remove,{at(1)}",
        f"c2,approve,{at(2)}",
        f"c3,approve,{at(0.5)}",
        f"c3,remove,{at(0.1)}",
        f"c4,remove,{at(2.01)}",
        f"c5,remove,{at(-1)}",
        f"other,approve,{at(9)}",
    )
    _, rows = read(files, recorded(log))
    assert [row.removed for row in rows] == [False, True, False, False, False, False]
    assert [None if row.action is None else row.action.action_time_us // 1_000_000 for row in rows] == [
        *(None, at(1), at(2), at(0.5), None, None)
    ]


def test_actions_in_another_time_zone_are_refused(tmp_path: Path) -> None:
    files = comments(tmp_path, *(f"c{n},text {n},{at(0)}" for n in range(6)))
    log = actions(tmp_path, *(f"c{n},remove,{at(n - 4.5)}" for n in range(6)), f"other,approve,{at(9)}")
    with pytest.raises(DatasetError, match=r"5 of 6 actions precede their comments, the median by 2\.5 hours.*zone"):
        read(files, recorded(log))


def test_of_actions_at_one_time_the_last_of_the_file_decides(tmp_path: Path) -> None:
    rows = (f"c,remove,{at(1)}", f"c,approve,{at(1)}", f"c,remove,{at(1)}", f"x,remove,{at(9)}")
    assert recorded(actions(tmp_path, *rows)).label("c", MAY_1_US).removed
    assert not recorded(actions(tmp_path, *rows[:2], rows[3])).label("c", MAY_1_US).removed


def test_an_action_belongs_to_the_text_that_was_current(tmp_path: Path) -> None:
    files = comments(tmp_path, f"a,first,{at(0)}", f"a,second,{at(1)}", f"b,x,{at(0)}", f"b,y,{at(1)}")
    log = actions(tmp_path, f"a,remove,{at(0.5)}", f"b,remove,{at(1.5)}", f"z,approve,{at(9)}")
    imported, rows = read(files, recorded(log), accepted=("left-out",))
    # The first text of b was edited before anybody acted, so nobody judged it.
    assert [(row.comment.body, row.removed) for row in rows] == [("first", True), ("second", False), ("y", True)]
    assert imported.report.left_out == {Reason.IMMATURE: 1}
    assert [bad.cause for bad in imported.bad_rows] == ["it was edited before an action"]


def test_ids_that_were_written_as_floats_match_and_lost_ones_are_unreadable(tmp_path: Path) -> None:
    files = comments(tmp_path, f"17.0,first,{at(0)}", f"18,second,{at(0)}")
    log = actions(tmp_path, f"17,remove,{at(1)}", f"18.0,remove,{at(1)}", f"1.7E+18,remove,{at(1)}", f"z,lock,{at(9)}")
    with pytest.raises(DatasetError, match="1 of 4 rows have no id"):
        recorded(log)
    _, rows = read(files, recorded(log, accepted=("left-out",)))
    assert [(row.comment.comment_id, row.removed) for row in rows] == [("17", True), ("18", True)]


def test_comments_that_the_actions_do_not_cover_have_no_label(tmp_path: Path) -> None:
    log = recorded(actions(tmp_path, f"a,remove,{at(10)}", f"b,lock,{at(20)}"))
    assert log.label("x", (at(8)) * 1_000_000) == Labelled(False, None)
    assert log.label("x", (at(18)) * 1_000_000) == Labelled(False, None)
    with pytest.raises(Immature, match="before the first action"):
        log.label("x", at(7.9) * 1_000_000)
    with pytest.raises(Immature, match="after the last action"):
        log.label("x", at(18.1) * 1_000_000)
    with pytest.raises(Immature, match="no id"):
        log.label("", at(10) * 1_000_000)


def test_an_action_whose_window_is_not_over_decides_nothing(tmp_path: Path) -> None:
    log = recorded(actions(tmp_path, f"a,remove,{at(1)}", f"b,remove,{at(1.5)}"))
    with pytest.raises(Immature, match="after the last action"):
        log.label("a", MAY_1_US)


def test_the_message_names_the_window(tmp_path: Path) -> None:
    files = comments(tmp_path, f"a,x,{at(0)}", f"b,y,{at(5)}")
    log = recorded(actions(tmp_path, f"a,remove,{at(1)}", f"b,approve,{at(6)}"))
    with pytest.raises(DatasetError, match=r"1 no mature label.*--label-window HOURS"):
        read(files, log)


REDDIT_LOG = "\n".join(
    json.dumps({"id": f"ModAction_{n}", "target_fullname": target, "action": action, "created_utc": float(at(hours))})
    for n, (target, action, hours) in enumerate(
        [
            ("t1_a", "removecomment", 1),
            ("t1_b", "spamcomment", 1),
            ("t1_b", "approvecomment", 1.5),
            ("t1_c", "distinguish", 1),
            (None, "editsettings", 4),
        ]
    )
)


def test_a_reddit_moderation_log_is_understood(tmp_path: Path) -> None:
    (tmp_path / "log.ndjson").write_text(REDDIT_LOG)
    log = recorded(tmp_path / "log.ndjson")
    assert log.columns == {"id": "target_fullname", "action": "action", "time": "created_utc"}
    assert log.other_kinds == {"distinguish": 1, "editsettings": 1}
    assert "2 of other kinds are not used: distinguish (1), editsettings (1)" in log.summary()
    _, rows = read(comments(tmp_path, *(f"{name},text {name},{at(0)}" for name in "abc")), log)
    assert [row.removed for row in rows] == [True, False, False]


def test_actions_of_this_project_are_understood(tmp_path: Path) -> None:
    action = {
        **{"schema_version": 1, "comment_id": "a", "kind": "remove", "moderator_key": "m", "reason": ""},
        **{"action_time_us": MAY_1_US + HOUR_US, "inclusion_probability": 1.0},
    }
    later = {**action, "comment_id": "z", "action_time_us": MAY_1_US + 9 * HOUR_US}
    (tmp_path / "actions.jsonl").write_text(json.dumps(action) + "\n" + json.dumps(later) + "\n")
    log = recorded(tmp_path / "actions.jsonl")
    assert log.columns["time"] == "action_time_us:us"
    assert log.label("a", MAY_1_US) == Labelled(True, MAY_1_US + HOUR_US)


def test_columns_and_words_can_be_stated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "what;to;when", f"hide it;a;{at(1)}", f"fine;b;{at(1)}", f"seen;c;{at(9)}")
    columns = "id=to,action=what,time=when:s,remove=hide it|gone,approve=fine"
    log = recorded(path, columns=columns)
    assert log.label("a", MAY_1_US).removed
    assert log.label("b", MAY_1_US) == Labelled(False, at(1) * 1_000_000)
    assert log.other_kinds == {"seen": 1}
    assert log.fields()["columns"] == dict(part.split("=") for part in columns.split(","))


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("who,action,time", ["a,remove,1682935200"], "the id of the comment.*--action-columns id=COLUMN"),
        ("id,action,at", ["a,remove,1682935200"], "the time of the action.*--action-columns time=COLUMN"),
        ("id,action,time", ["a,lock,1682935200"], "kinds are 'lock'.*remove=WORD"),
        ("id,action,time", ["a,remove,soon"], "1 of 1 rows have no id or no time"),
        ("id,action,time", ["a,remove,01/05/2023"], "--action-columns time=time:dmy"),
    ],
)
def test_a_file_of_actions_that_is_not_clear_is_refused(
    tmp_path: Path, header: str, rows: list[str], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        recorded(write(tmp_path / "actions.csv", header, *rows))


def test_unreadable_actions_can_be_accepted_unless_none_is_left(tmp_path: Path) -> None:
    log = recorded(actions(tmp_path, "a,remove,soon", f"b,remove,{at(9)}"), accepted=("left-out",))
    assert (log.unreadable, list(log.by_comment)) == (1, ["b"])
    with pytest.raises(DatasetError, match="none of its 1 rows removes"):
        recorded(actions(tmp_path, "a,remove,soon"), accepted=("left-out",))


def test_actions_on_other_comments_are_refused(tmp_path: Path) -> None:
    log = recorded(actions(tmp_path, f"x1,remove,{at(9)}"))
    with pytest.raises(DatasetError, match=r"names 'x1', they have 'a'.*--action-columns id=COLUMN"):
        read(comments(tmp_path, f"a,text,{at(0)}"), log)


def test_comments_without_id_or_time_are_refused(tmp_path: Path) -> None:
    log = recorded(actions(tmp_path, f"a,remove,{at(9)}"))
    for header, role in (("body,created_utc", "id"), ("body,id", "time")):
        path = write(tmp_path / "other.csv", header, "text,1682935200")
        with pytest.raises(DatasetError, match=f"contain the {role}, which is needed.*--columns {role}=COLUMN"):
            read(path, log)


def test_a_label_column_and_actions_exclude_each_other(tmp_path: Path) -> None:
    path = write(tmp_path / "comments.csv", "id,body,created_utc,removed", f"a,text,{at(0)},0")
    log = recorded(actions(tmp_path, f"a,remove,{at(1)}", f"b,remove,{at(9)}"))
    imported, rows = read(path, log)
    assert [row.removed for row in rows] == [True]  # a guessed column with labels is not used
    assert imported.plan.files[0].unused == ("removed",)
    assert imported.lineage()["import"]["actions"]["window_hours"] == 2
    with pytest.raises(ConfigurationError, match="states a column with labels, too"):
        read(path, log, columns=parse_columns(["label=removed"]))


@pytest.mark.parametrize("text", ["kind=x", "id=", "id=a,id=b", "time=at:foo", "remove=a|b,approve=c|B"])
def test_malformed_action_columns_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--action-columns"):
        parse_action_columns([text])
