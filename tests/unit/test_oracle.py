"""The oracle over small logs and ledgers in memory: silent where all is well, and each fault seen as what it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.oracle.comparison import FAULTS, Comparison, Delivered
from local.oracle.law import LATENESS_US, PANE_US, fates_of, identity_of
from local.oracle.ledger import (
    Contents,
    Logged,
    Row,
    closed_panes,
    compare_fates,
    compare_panes,
    compare_places,
    compare_served,
)
from local.oracle.topics import Message, compare_topics

SOURCE = ("comments", "00000000-0000-0000-0000-000000000001")
START_US = 1_700_000_000_000_000 // PANE_US * PANE_US
MINUTE_US = 60_000_000
VERDICTS = ("allow", "review", "remove")


def raw_comment(number: int, minute: int) -> bytes:
    fields = {"comment_id": f"c{number}", "community": "science", "body": f"text {number}"}
    return json.dumps({"schema_version": 1, **fields, "event_time_us": START_US + minute * MINUTE_US}).encode()


# Two in one pane, a duplicate, a dead letter at 3, further ones that close panes, and a late one.
RAW = [
    raw_comment(0, 0),
    raw_comment(1, 1),
    raw_comment(1, 1),
    b"nonsense",
    raw_comment(2, 7),
    raw_comment(3, 30),
    raw_comment(4, 2),
]
FATES = ["counted", "counted", "duplicate", None, "counted", "counted", "late"]


def row_of(offset: int, fate: str) -> Row:
    fields = json.loads(RAW[offset])
    verdict = VERDICTS[offset % 3]
    reasons = None if verdict == "allow" else ["idiot"]
    return Row(
        partition=0,
        offset=offset,
        comment_id=fields["comment_id"],
        community=fields["community"],
        event_time_us=fields["event_time_us"],
        record_id=identity_of(RAW[offset])[0],
        score_ppm=offset * 100_000,
        verdict=verdict,
        model_version="1",
        policy_version="p",
        fate=fate,
        reasons=reasons,
    )


def grouped(rows: Sequence[Row]) -> dict[tuple[int, str, int, str, str], tuple[Any, ...]]:
    """GROUP BY, key by key and measure by measure: slower and plainer than the oracle's."""

    def key(row: Row) -> tuple[int, str, int, str, str]:
        start_us = row.event_time_us // PANE_US * PANE_US
        return row.partition, row.community, start_us, row.model_version, row.policy_version

    panes = {}
    for each in {key(row) for row in rows if row.fate != "duplicate"}:
        counted = [row for row in rows if key(row) == each and row.fate == "counted"]
        panes[each] = (
            len(counted),
            sum(row.verdict == "review" for row in counted),
            sum(row.verdict == "remove" for row in counted),
            sum(row.score_ppm for row in counted),
            sum(key(row) == each and row.fate == "late" for row in rows),
            min((row.offset for row in counted), default=None),
        )
    return panes


def message(key: bytes, value: Any) -> Message:
    return (0, 0), key, json.dumps(value).encode()


def decision_of(row: Row) -> dict[str, Any]:
    names = "partition offset comment_id community event_time_us score_ppm verdict model_version policy_version fate"
    fields = {name: getattr(row, name) for name in names.split()}
    return {"topic": SOURCE[0], "topic_id": SOURCE[1], **fields, "schema_version": 1}


def pane_messages(ledger: Contents) -> list[Message]:
    messages = []
    for key, sums in sorted(closed_panes(ledger).items()):
        partition, community, start_us, model_version, policy_version = key
        value = {"topic": SOURCE[0], "topic_id": SOURCE[1], "partition": partition, "community": community}
        value |= {"start_us": start_us, "end_us": start_us + PANE_US, "model_version": model_version}
        value |= {"policy_version": policy_version, "schema_version": 1}
        value |= dict(zip(("comments", "reviews", "removals", "score_sum"), sums, strict=False))
        messages.append(message(json.dumps([SOURCE[1], *key], separators=(",", ":")).encode(), value))
    return messages


@dataclass
class World:
    """A log, the ledger on it, and its topics; healthy until a test breaks it."""

    raw: dict[int, bytes] = field(default_factory=lambda: dict(enumerate(RAW)))
    log_range: tuple[int, int] = (0, len(RAW))
    delivered: list[Delivered] = field(default_factory=list)

    def __post_init__(self) -> None:
        rows = [row_of(offset, fate) for offset, fate in enumerate(FATES) if fate is not None]
        letter = Logged.of(RAW[3])
        self.ledger = Contents(
            rows=rows,
            letters=[(0, 3, letter.value_sha256.hex(), letter.length)],
            gaps=[],
            panes=grouped(rows),
            standing={0: (0, len(RAW), START_US + 30 * MINUTE_US)},
            served={0: [(0, "1")]},
        )
        self.decisions = [message(row.comment_id.encode(), decision_of(row)) for row in rows]
        self.alerts = [
            message(row.comment_id.encode(), {"decision": decision_of(row), "reasons": row.reasons})
            for row in rows
            if row.verdict != "allow"
        ]
        self.panes = pane_messages(self.ledger)

    def change(self, number: int, **fields: Any) -> None:
        rows = list(self.ledger.rows)
        rows[number] = replace(rows[number], **fields)
        self.ledger = replace(self.ledger, rows=rows)

    def stand(self, first: int, following: int, newest_us: int | None = START_US + 30 * MINUTE_US) -> None:
        self.ledger = replace(self.ledger, standing={0: (first, following, newest_us)})

    def compared(self) -> Comparison:
        found = Comparison()
        log = {(0, offset): Logged.of(value) for offset, value in self.raw.items()}
        compare_places(found, log, self.ledger, self.delivered, {0: self.log_range})
        compare_fates(found, self.ledger)
        compare_panes(found, self.ledger)
        compare_served(found, self.ledger)
        compare_topics(found, self.ledger, SOURCE, self.decisions, self.alerts, self.panes)
        return found

    def faults(self) -> dict[str, int]:
        found = self.compared()
        assert found.is_exact == (not found.examples)
        return {name: getattr(found, name) for name in FAULTS if getattr(found, name)}


def test_where_all_is_well_it_finds_nothing() -> None:
    found = World().compared()
    assert (found.records, found.decisions, found.dead_letters) == (7, 6, 1)
    assert found.is_exact, found.examples
    assert len(World().panes) == 2  # one closed with two comments, one with one; the third is open


def test_a_record_without_a_row_is_lost() -> None:
    world = World()
    world.raw[7] = raw_comment(9, 31)
    world.log_range = (0, 8)
    assert world.faults() == {"lost": 1}


def test_what_lies_below_the_first_offset_is_not_asked_for() -> None:
    world = World(raw={offset + 1: value for offset, value in enumerate(RAW)}, log_range=(0, 8))
    world.raw[0] = b"from before"
    rows = [replace(row, offset=row.offset + 1) for row in world.ledger.rows]
    letters = [(0, 4, world.ledger.letters[0][2], 8)]
    world.ledger = replace(world.ledger, rows=rows, letters=letters, panes=grouped(rows))
    world.stand(1, 8)
    found = world.compared()
    assert (found.lost, found.phantom, found.altered) == (0, 0, 0)


def test_a_decision_that_is_a_dead_letter_too_is_doubled() -> None:
    world = World()
    letter = Logged.of(RAW[0])
    world.ledger.letters.append((0, 0, letter.value_sha256.hex(), letter.length))
    assert world.faults() == {"doubled": 1}


def test_a_row_inside_a_gap_is_doubled_and_a_wide_gap_costs_nothing() -> None:
    world = World()
    world.ledger.gaps.append((0, 6, 10**12))
    assert world.faults() == {"doubled": 1}


def test_offsets_in_a_gap_are_not_lost_and_rows_that_retention_has_overtaken_are_no_phantoms() -> None:
    world = World()
    world.raw = {8: RAW[0]}
    world.log_range = (8, 9)
    world.ledger.gaps.append((0, 7, 9))
    world.delivered = [Delivered(0, 0, "0" * 64)]
    world.stand(0, 9)
    assert world.faults() == {}
    assert world.compared().gap_offsets == 2


@pytest.mark.parametrize("following", [6, 8])
def test_a_position_that_is_not_the_logs_end_is_seen(following: int) -> None:
    world = World()
    world.stand(0, following)
    assert world.faults() == {"phantom": 1}


def test_a_row_without_a_record_is_a_phantom() -> None:
    world = World()
    del world.raw[6]
    assert world.faults() == {"phantom": 1}


@pytest.mark.parametrize("fields", [{"record_id": b""}, {"comment_id": "x"}, {"community": "x"}, {"event_time_us": 1}])
def test_a_decision_whose_columns_are_not_its_records_is_altered(fields: dict[str, Any]) -> None:
    world = World()
    world.change(0, **fields)
    assert world.faults()["altered"] == 1


@pytest.mark.parametrize("letter", [("0" * 64, 8), (Logged.of(b"nonsense").value_sha256.hex(), 9)])
def test_a_dead_letter_with_another_digest_or_length_is_altered(letter: tuple[str, int]) -> None:
    world = World()
    world.ledger.letters[0] = (0, 3, *letter)
    assert world.faults() == {"altered": 1}


@pytest.mark.parametrize("report", [Delivered(0, 0, "0" * 64), Delivered(0, 99, "0" * 64), Delivered(1, 0, "0" * 64)])
def test_a_confirmed_delivery_that_the_topic_does_not_hold_is_undelivered(report: Delivered) -> None:
    world = World()
    world.delivered = [Delivered(0, 0, Logged.of(RAW[0]).value_sha256.hex()), report]
    assert world.faults() == {"undelivered": 1}


def test_a_wrong_fate_is_seen_though_pane_and_topic_agree_with_it() -> None:
    world = World()
    world.change(4, fate="late")
    world.ledger = replace(world.ledger, panes=grouped(world.ledger.rows))
    world.decisions = [message(row.comment_id.encode(), decision_of(row)) for row in world.ledger.rows]
    world.alerts = [
        message(row.comment_id.encode(), {"decision": decision_of(row), "reasons": row.reasons})
        for row in world.ledger.rows
        if row.verdict != "allow"
    ]
    world.panes = pane_messages(world.ledger)
    assert world.faults() == {"fate_mismatches": 1}


def test_a_newest_event_time_that_is_not_the_largest_is_seen() -> None:
    world = World()
    world.stand(0, 7, START_US + 29 * MINUTE_US)
    assert world.faults() == {"fate_mismatches": 1}


def test_a_partition_without_a_position_is_seen() -> None:
    world = World()
    world.ledger = replace(world.ledger, standing={})
    assert world.faults()["fate_mismatches"] == 1


@pytest.mark.parametrize("measure", range(6))
def test_a_pane_with_any_other_measure_is_one_mismatch(measure: int) -> None:
    world = World()
    key = (0, "science", START_US, "1", "p")
    sums = list(world.ledger.panes[key])
    sums[measure] += 1
    world.ledger = replace(world.ledger, panes={**world.ledger.panes, key: tuple(sums)})
    assert world.faults()["pane_mismatches"] == 1


def test_a_missing_and_a_made_up_pane_are_mismatches() -> None:
    world = World()
    panes = dict(world.ledger.panes)
    panes[0, "cooking", START_US + 30 * MINUTE_US, "1", "p"] = panes.pop(
        (0, "science", START_US + 30 * MINUTE_US, "1", "p")
    )
    world.ledger = replace(world.ledger, panes=panes)
    assert world.faults() == {"pane_mismatches": 2}


def test_a_decision_by_a_version_that_did_not_serve_is_misnamed() -> None:
    world = World()
    world.ledger = replace(world.ledger, served={0: [(0, "1"), (5, "2")]})
    assert world.faults() == {"misnamed": 2}
    world.ledger = replace(world.ledger, served={0: [(1, "1")]})
    assert world.faults() == {"misnamed": 1}


def _without_last(messages: list[Message]) -> None:
    messages.pop()


def _repeated_with_other_bytes(messages: list[Message]) -> None:
    place, key, value = messages[0]
    messages.append((place, key, value.replace(b", ", b",")))


def _further_field(messages: list[Message]) -> None:
    place, key, value = messages[0]
    messages[0] = place, key, json.dumps({**json.loads(value), "more": 1}).encode()


def _wrong_key(messages: list[Message]) -> None:
    place, _, value = messages[0]
    messages[0] = place, b"another", value


def _wrong_type(messages: list[Message]) -> None:
    place, key, value = messages[0]
    messages[0] = place, key, value.replace(b'"schema_version": 1', b'"schema_version": true')


def _wrong_topic(messages: list[Message]) -> None:
    place, key, value = messages[0]
    messages[0] = place, key, value.replace(b'"topic": "comments"', b'"topic": "others"')


def _unreadable(messages: list[Message]) -> None:
    messages.append(((0, 9), b"k", b"nonsense"))


@pytest.mark.parametrize("topic", ["decisions", "alerts", "panes"])
@pytest.mark.parametrize(
    "damage",
    [
        _without_last,
        _repeated_with_other_bytes,
        _further_field,
        _wrong_key,
        _wrong_type,
        _wrong_topic,
        _unreadable,
    ],
)
def test_whatever_is_wrong_on_a_topic_is_one_gap(damage: Callable[[list[Message]], None], topic: str) -> None:
    world = World()
    damage(getattr(world, topic))
    assert world.faults() == {"topic_gaps": 1}


@pytest.mark.parametrize("topic", ["decisions", "alerts", "panes"])
def test_the_same_bytes_again_and_other_sources_values_are_no_gap(topic: str) -> None:
    world = World()
    messages: list[Message] = getattr(world, topic)
    place, key, value = messages[0]
    messages += [messages[0], (place, key, value.replace(SOURCE[1].encode(), b"another source"))]
    assert world.faults() == {}


def test_an_alert_for_what_is_allowed_and_one_with_other_reasons_are_gaps() -> None:
    world = World()
    allowed = next(row for row in world.ledger.rows if row.verdict == "allow")
    value = {"decision": decision_of(allowed), "reasons": []}
    world.alerts.append(message(allowed.comment_id.encode(), value))
    place, key, raw = world.alerts[0]
    world.alerts[0] = place, key, raw.replace(b"idiot", b"moron")
    assert world.faults() == {"topic_gaps": 2}


def test_panes_out_of_order_are_a_gap_but_not_across_the_topics_partitions() -> None:
    world = World()
    world.panes.reverse()
    assert world.faults() == {"topic_gaps": 1}
    world.panes = [((number, 0), key, value) for number, (_, key, value) in enumerate(world.panes)]
    assert world.faults() == {}


def test_a_pane_that_is_still_open_in_the_ledger_is_a_gap() -> None:
    world = World()
    world.stand(0, 7, START_US + 19 * MINUTE_US)
    assert world.faults() == {"fate_mismatches": 1, "topic_gaps": 1}


def test_five_examples_are_kept_and_all_faults_counted() -> None:
    found = Comparison()
    for offset in range(9):
        found.fault("lost", f"partition 2 offset {offset}")
    assert found.lost == 9
    assert found.examples == {"lost": [f"partition 2 offset {offset}" for offset in range(5)]}


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=40))
def test_fates_are_those_of_looking_back_over_the_whole_log_each_time(steps: list[tuple[int, int]]) -> None:
    log = [(START_US + minute * MINUTE_US, bytes([minute, number])) for minute, number in steps]
    expected: list[str] = []
    for offset, (event_time_us, record_id) in enumerate(log):
        before = log[:offset]
        end_us = event_time_us - event_time_us % PANE_US + PANE_US
        if any(end_us + LATENESS_US <= earlier_us for earlier_us, _ in before):
            expected.append("late")
        elif (record_id, "counted") in [(known, fate) for (_, known), fate in zip(before, expected, strict=True)]:
            expected.append("duplicate")
        else:
            expected.append("counted")
    assert list(fates_of(log)) == expected
