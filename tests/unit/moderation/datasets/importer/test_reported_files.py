"""Files that failed in reports, from ../shared/cases, are read right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from moderation.datasets.history import LabelledComment
from moderation.datasets.importer.authors import pseudonym
from moderation.errors import DatasetError
from tests.support.imports import ALL, MAY_1_US, read

CASES = Path(__file__).parents[6] / "shared" / "cases"


def case(name: str) -> Path:
    path = CASES / name
    if not path.exists():
        pytest.skip(f"../shared/cases/{name} is absent")
    return path


def bodies(rows: list[LabelledComment]) -> list[str]:
    return [row.comment.body for row in rows]


def ids(rows: list[LabelledComment]) -> list[str]:
    return [row.comment.comment_id for row in rows]


def _utf8(path: Path) -> None:
    _, rows = read(path)
    assert bodies(rows)[0] == "“It’s a small study”, they said – n = 12…"
    assert bodies(rows)[2] == "🙄🙄 sure, “science”"


def _bom(path: Path) -> None:
    assert ids(read(path)[1]) == ["b01", "b02", "b03"]


def _open_quote(path: Path) -> None:
    imported, rows = read(path)
    assert ids(rows) == [f"q{number:02}" for number in range(1, 13)]
    assert bodies(rows)[2] == 'see what they call "peer review'
    assert sum(imported.report.repaired.values()) == 2


def _pandas(path: Path) -> None:
    with pytest.raises(DatasetError, match="1 no label"):
        read(path)
    assert [(row.comment.comment_id, row.removed) for row in read(path, ALL)[1]] == [
        ("p01", False),
        ("p02", True),
        ("p04", False),
    ]


def _jigsaw(path: Path) -> None:
    imported, rows = read(path)
    assert [row.removed for row in rows] == [True, False, False]
    assert imported.plan.files[0].unused == ("severe_toxic", "obscene", "threat", "insult", "identity_hate")


def _civil(path: Path) -> None:
    _, rows = read(path)
    assert [row.removed for row in rows] == [False, True, False]
    assert rows[0].comment.event_time_us == 1_463_182_240_666_905


def _communities(path: Path) -> None:
    _, rows = read(path)
    assert [row.comment.community for row in rows] == ["space", "AskScience", "space", "medicine", "AskScience"]
    names = ("user_a", "user_b", "user_a", "user_c", "user_b")
    assert [row.comment.author_key for row in rows] == [pseudonym(name, b"") for name in names]
    assert [row.comment.event_time_us for row in rows] == [MAY_1_US + n * 60_000_000 for n in range(5)]


def _mixed_times(path: Path) -> None:
    with pytest.raises(DatasetError, match=r"4 no time .* time=created_date:mdy"):
        read(path)
    _, rows = read(path, ALL, columns="time=created_date:mdy")
    assert ids(rows) == ["t01", "t03", "t04", "t05", "t06"]
    assert {row.comment.event_time_us for row in rows} <= {MAY_1_US + n * 60_000_000 for n in range(6)}


def _removed_bodies(path: Path) -> None:
    imported, rows = read(path, ALL)
    assert ids(rows) == ["r02", "r07"]
    assert imported.report.left_out == {"text was removed": 4, "no text": 1}


def _repeats(path: Path) -> None:
    imported, rows = read(path, ALL)
    assert ids(rows) == ["d02", "d03"]
    assert imported.report.left_out == {"both labels": 2, "repeated": 2}


def _dump(path: Path) -> None:
    with pytest.raises(DatasetError, match="no labels"):
        read(path)
    _, rows = read(path, ALL, needs_labels=False)
    assert [(row.comment.comment_id, row.comment.event_time_us) for row in rows] == [
        ("jx00001", MAY_1_US),
        ("jx00003", MAY_1_US + 120_000_000),
    ]


CHECKS: list[tuple[str, Callable[[Path], None]]] = [
    ("01-utf8-export/comments.csv", _utf8),
    ("02-bom-excel/id_first.csv", _bom),
    (
        "02-bom-excel/body_first.csv",
        lambda path: check_bodies(path, ["Where is the data kept?", "get a life, all of you"]),
    ),
    ("02-bom-excel/lines.jsonl", lambda path: check_unlabelled(path, ["b01", "b02"])),
    ("03-open-quote/comments.csv", _open_quote),
    ("04-label-columns/pandas.csv", _pandas),
    ("04-label-columns/jigsaw.csv", _jigsaw),
    ("04-label-columns/civil.csv", _civil),
    ("05-ignored-columns/three_subs.csv", _communities),
    ("05-ignored-columns/mixed_times.csv", _mixed_times),
    ("06-removed-bodies/dump_rows.csv", _removed_bodies),
    ("07-repeated-rows/approved_later.csv", _repeats),
    ("08-pushshift-ndjson/RC_2023-05.ndjson", _dump),
    ("09-half-emoji/comments.jsonl", lambda path: check_unlabelled(path, [f"h0{n}" for n in range(1, 7)])),
    ("10-new-field/comments.jsonl", lambda path: check_unlabelled(path, [f"n0{n}" for n in range(6)])),
]


def check_bodies(path: Path, expected: list[str]) -> None:
    assert bodies(read(path, ALL)[1]) == expected


def check_unlabelled(path: Path, expected: list[str]) -> None:
    assert ids(read(path, ALL, needs_labels=False)[1]) == expected


@pytest.mark.parametrize(("name", "check"), CHECKS, ids=[name for name, _ in CHECKS])
def test_a_file_that_failed_elsewhere_is_read_right(name: str, check: Callable[[Path], None]) -> None:
    check(case(name))
