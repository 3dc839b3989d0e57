from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.contracts import ActionKind, Comment, parse_action, parse_record
from moderation.contracts.records import MAX_TIME_US
from moderation.datasets.history import BadRow
from moderation.datasets.importer import FIRST_TIME_US, REMOVED_AFTER_US, ROW_STEP_US
from moderation.datasets.recorded import ACTIONS, ARRIVALS, COMMENTS, write_history
from moderation.datasets.synthetic import Arrival, Injection, TrafficConfig, generate
from moderation.errors import ConfigurationError, DatasetError
from stream.source import Anchor, AtRate, AtRecordedTimes, CsvExport, Generated, History, SendPlan
from stream.source.arrivals import anchor_us, arrivals_of, key_of
from stream.source.external_sort import by_arrival
from stream.source.identity import identity_of
from tests.conftest import refuse_bad_row

CONFIG = TrafficConfig(days=1, comments_per_day=400, broken_share=0.1, late_share=0.1, duplicate_share=0.1)
HEADER = "prev_idx,body,score,parent_id,id,created_date,retrieved_date,removed\n"


def export(folder: Path, rows: str) -> CsvExport:
    path = folder / "export.csv"
    path.write_text(rows, encoding="iso-8859-1")
    return CsvExport(path)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    write_history(folder, generate(CONFIG), lambda count: None)
    return folder


def read(plan: SendPlan) -> list[Arrival]:
    return list(arrivals_of(plan, refuse_bad_row))


def test_an_export_arrives_at_its_event_times_and_removals_when_they_happened(tmp_path: Path) -> None:
    rows = "".join(f'"{n}","{n}","comment {n}","{int(n % 3 == 0)}"\n' for n in range(200))
    found = read(SendPlan(export(tmp_path, '"",X,BODY,REMOVED\n' + rows), tmp_path))
    assert [each.arrival_us for each in found] == sorted(each.arrival_us for each in found)
    comments = [parse_record(each.value, MAX_TIME_US) for each in found if each.topic == "comments"]
    actions = [parse_action(each.value) for each in found if each.topic == "actions"]
    assert [comment.body for comment in comments] == [f"comment {n}" for n in range(200)]
    assert [comment.event_time_us for comment in comments] == [FIRST_TIME_US + n * ROW_STEP_US for n in range(200)]
    assert len(actions) == 67
    for action in actions:
        assert (action.kind, action.inclusion_probability) == (ActionKind.REMOVE, 1.0)
    assert [each.arrival_us for each in found if each.topic == "actions"] == [
        comment.event_time_us + REMOVED_AFTER_US for comment in comments[::3]
    ]


def test_an_export_in_any_order_arrives_in_order_of_time(tmp_path: Path) -> None:
    rows = "".join(f"{n},b{n},1,,id{n},2020-01-{28 - n:02d}T00:00:00,x,{n % 2}\n" for n in range(28))
    found = read(SendPlan(export(tmp_path, HEADER + rows), tmp_path))
    assert [each.key for each in found if each.topic == "comments"] == [f"id{n}" for n in reversed(range(28))]
    for action in (each for each in found if each.topic == "actions"):
        assert found.index(action) > next(n for n, each in enumerate(found) if each.key == action.key)


def test_bad_rows_of_an_export_are_reported_and_left_out(tmp_path: Path) -> None:
    told: list[BadRow] = []
    good = "".join(f"{n},fine {n},1,,a{n},1500000000,x,0\n" for n in range(100))
    plan = SendPlan(export(tmp_path, HEADER + "1,odd,1,,b,never,x,0\n" + good), tmp_path)
    assert [each.key for each in arrivals_of(plan, told.append)] == [f"a{n}" for n in range(100)]
    assert [bad.line for bad in told] == [2]


def test_an_export_that_loses_many_rows_is_refused_with_the_way_to_accept_it(tmp_path: Path) -> None:
    plan = SendPlan(export(tmp_path, HEADER + "1,fine,1,,a,1500000000,x,0\n2,odd,1,,b,never,x,0\n"), tmp_path)
    with pytest.raises(DatasetError, match=r"1 of 2 rows .*moderation import .* --out FOLDER"):
        read(plan)


def test_an_export_that_nothing_stated_would_help_is_refused_with_its_own_remedy(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file or folder. Name a file"):
        list(arrivals_of(SendPlan(CsvExport(tmp_path / "absent.csv"), tmp_path), lambda bad: None))


_any_arrivals = st.lists(
    st.builds(
        Arrival,
        st.integers(-5, 5),
        st.sampled_from(["comments", "actions"]),
        st.text(st.characters(codec="utf-8"), max_size=3),
        st.binary(max_size=5),
        st.none(),
        st.none(),
    )
)


@given(_any_arrivals, st.integers(1, 8))
def test_sorting_in_runs_equals_sorting_in_memory(arrivals: list[Arrival], most: int) -> None:
    assert list(by_arrival(arrivals, most)) == sorted(arrivals, key=lambda each: each.arrival_us)


def test_sorting_works_with_more_runs_than_open_files_allowed() -> None:
    arrivals = [Arrival(n * 7_919 % 5_000, "comments", str(n), b"", None, None) for n in range(5_000)]
    assert [each.arrival_us for each in by_arrival(arrivals, 1)] == list(range(5_000))


def test_a_history_arrives_as_it_was_generated(history: Path) -> None:
    generated = list(generate(CONFIG))
    found = read(SendPlan(History(history), history))
    comments = [each for each in generated if each.topic == "comments"]
    assert [(each.arrival_us, each.value) for each in found if each.topic == "comments"] == [
        (each.arrival_us, each.value.replace(b"\n", b" ")) for each in comments
    ]
    assert [each.value for each in found if each.topic == "actions"] == [
        each.value for each in generated if each.topic == "actions"
    ]
    readable = [n for n, each in enumerate(comments) if each.injected is not Injection.BROKEN]
    keys = [each.key for each in found if each.topic == "comments"]
    assert [keys[n] for n in readable] == [comments[n].key for n in readable]
    assert len(readable) < len(keys)


def test_actions_of_a_history_arrive_in_order_and_after_their_comments(history: Path) -> None:
    seen: set[str] = set()
    latest_us = 0
    for each in read(SendPlan(History(history), history)):
        assert each.arrival_us >= latest_us
        latest_us = each.arrival_us
        if each.topic == "comments":
            seen.add(each.key)
        else:
            assert each.key in seen


def test_the_generator_arrives_as_it_is() -> None:
    assert read(SendPlan(Generated(CONFIG), Path())) == list(generate(CONFIG))


def test_part_of_an_input_and_comments_only(history: Path) -> None:
    whole = read(SendPlan(History(history), history))
    assert read(SendPlan(History(history), history, skip=20, limit=30)) == whole[20:50]
    comments = [each for each in whole if each.topic == "comments"]
    assert read(SendPlan(History(history), history, actions=False, skip=2)) == comments[2:]


@pytest.mark.parametrize("name", [COMMENTS, ARRIVALS, ACTIONS])
def test_a_folder_without_a_history_is_refused_by_name(history: Path, tmp_path: Path, name: str) -> None:
    for file in {COMMENTS, ARRIVALS, ACTIONS} - {name}:
        (tmp_path / file).write_bytes((history / file).read_bytes())
    plan = SendPlan(History(tmp_path), tmp_path)
    with pytest.raises(DatasetError, match=name):
        read(plan)
    with pytest.raises(DatasetError, match=name):
        identity_of(plan)


def test_arrivals_that_belong_to_other_comments_are_refused(history: Path, tmp_path: Path) -> None:
    for file in (COMMENTS, ARRIVALS, ACTIONS):
        (tmp_path / file).write_bytes((history / file).read_bytes())
    with (tmp_path / ARRIVALS).open("ab") as notes:
        notes.write(b'{"arrival_us": 1, "injected": null}\n')
    with pytest.raises(DatasetError, match="does not match"):
        read(SendPlan(History(tmp_path), tmp_path))


def test_the_anchor_is_one_of_the_arrivals_that_are_sent(history: Path) -> None:
    plan = SendPlan(History(history), history, skip=5, limit=300, shift_to="now")
    found = read(plan)
    comments = [each for each in found if each.topic == "comments"]
    assert anchor_us(replace(plan, anchor=Anchor.FIRST)) == found[0].arrival_us
    assert anchor_us(replace(plan, anchor=Anchor.LAST)) == found[-1].arrival_us
    assert anchor_us(replace(plan, anchor=Anchor.LAST_COMMENT)) == comments[-1].arrival_us
    assert anchor_us(replace(plan, skip=10**6)) is None


def test_data_faster_than_the_clock_ends_at_the_instant_it_is_shifted_to(history: Path) -> None:
    plan = SendPlan(History(history), history, shift_to="now")
    assert plan.shift_anchor is Anchor.LAST
    assert replace(plan, pace=AtRecordedTimes(2)).shift_anchor is Anchor.LAST
    assert replace(plan, pace=AtRate(1)).shift_anchor is Anchor.LAST
    assert replace(plan, pace=AtRecordedTimes(1)).shift_anchor is Anchor.FIRST
    assert replace(plan, anchor=Anchor.LAST_COMMENT).shift_anchor is Anchor.LAST_COMMENT


def test_an_input_is_recognised_by_its_content_and_what_is_sent_of_it(history: Path, tmp_path: Path) -> None:
    plan = SendPlan(History(history), history)
    others = [
        replace(plan, actions=False),
        replace(plan, skip=1),
        replace(plan, shift_to="now"),
        replace(plan, shift_to=5),
        replace(plan, shift_to="now", anchor=Anchor.FIRST),
        replace(plan, origin=Generated(CONFIG)),
        replace(plan, origin=Generated(replace(CONFIG, seed=1))),
        replace(plan, origin=export(tmp_path, HEADER)),
    ]
    before = identity_of(others[-1])
    assert len({identity_of(each) for each in [plan, *others]}) == len(others) + 1
    assert identity_of(replace(plan, pace=AtRate(3), limit=9, state=tmp_path)) == identity_of(plan)
    export(tmp_path, HEADER + "1,fine,1,,a,5,x,0\n")
    assert identity_of(others[-1]) != before


def test_a_value_is_keyed_by_its_comment_id_or_else_by_its_digest(comment: Callable[..., Comment]) -> None:
    assert key_of(b'{"comment_id": "abc", "odd": 1}') == "abc"
    for value in (b"", b"[1]", b"[]", b'"x"', b"7", b"{}", b'{"comment_id": ""}', b'{"comment_id": 3}', b"{", b"\xff"):
        assert key_of(value) == f"unreadable-{hashlib.sha256(value).hexdigest()[:16]}"
    assert key_of(b'{"comment_id": "' + b"x" * 300 + b'"}').startswith("unreadable-")


@pytest.mark.parametrize("wrong", [{"skip": -1}, {"limit": 0}, {"anchor": Anchor.LAST}])
def test_a_contradictory_plan_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="--"):
        SendPlan(Generated(CONFIG), Path(), **wrong)  # type: ignore[arg-type]
