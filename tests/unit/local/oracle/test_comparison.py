"""The oracle on a small log and ledger in memory: no false faults, and each fault is classified."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.oracle.comparison import DeliveryReport, OracleReport
from local.oracle.event_time import LATENESS_US, PANE_US, PartitionClock
from local.oracle.ledger import (
    Closing,
    Logged,
)
from moderation.contracts import Rules
from moderation.panes import OpenPanes
from moderation.watermark import RunningMaximum
from tests.support.event_time_rules import fates_and_maxima_of
from tests.support.oracle_scenario import (
    MINUTE_US,
    RAW,
    START_US,
    World,
    decision_of,
    grouped,
    message,
    pane_messages,
    raw_comment,
)


def test_a_healthy_world_has_no_faults() -> None:
    found = World().compared()
    assert (found.records, found.decisions, found.dead_letters) == (7, 6, 1)
    assert found.is_exact, found.examples
    assert len(World().panes) == 2  # one closed with two comments, one with one; the third is open


def test_a_record_without_a_row_is_lost() -> None:
    world = World()
    world.raw[7] = raw_comment(9, 31)
    world.log_range = (0, 8)
    assert world.faults() == {"lost": 1}


def test_records_below_the_first_offset_are_not_required() -> None:
    world = World(raw={offset + 1: value for offset, value in enumerate(RAW)}, log_range=(0, 8))
    world.raw[0] = b"from before"
    rows = [replace(row, offset=row.offset + 1) for row in world.ledger.rows]
    letters = [(0, 4, world.ledger.letters[0][2], 8)]
    world.ledger = replace(world.ledger, rows=rows, letters=letters, panes=grouped(rows))
    world.set_position(1, 8)
    found = world.compared()
    assert (found.lost, found.phantom, found.altered) == (0, 0, 0)


def test_a_decision_that_is_a_dead_letter_too_is_doubled() -> None:
    world = World()
    letter = Logged.of(RAW[0])
    world.ledger.letters.append((0, 0, letter.value_sha256.hex(), letter.length))
    assert world.faults() == {"doubled": 1}


def test_a_row_inside_a_gap_is_doubled_even_if_the_gap_is_wide() -> None:
    world = World()
    world.ledger.gaps.append((0, 6, 10**12))
    assert world.faults() == {"doubled": 1}


def test_gap_offsets_are_not_lost_and_rows_before_the_log_start_are_not_phantoms() -> None:
    world = World()
    world.raw = {8: RAW[0]}
    world.log_range = (8, 9)
    world.ledger.gaps.append((0, 7, 9))
    world.delivered = [DeliveryReport(0, 0, "0" * 64)]
    world.set_position(0, 9)
    assert world.faults() == {}
    assert world.compared().gap_offsets == 2


@pytest.mark.parametrize("next_offset", [6, 8])
def test_a_position_other_than_the_logs_end_is_a_fault(next_offset: int) -> None:
    world = World()
    world.set_position(0, next_offset)
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


@pytest.mark.parametrize(
    "report", [DeliveryReport(0, 0, "0" * 64), DeliveryReport(0, 99, "0" * 64), DeliveryReport(1, 0, "0" * 64)]
)
def test_a_confirmed_delivery_missing_on_the_topic_is_undelivered(report: DeliveryReport) -> None:
    world = World()
    world.delivered = [DeliveryReport(0, 0, Logged.of(RAW[0]).value_sha256.hex()), report]
    assert world.faults() == {"undelivered": 1}


def test_a_wrong_fate_is_found_even_if_pane_and_topic_agree_with_it() -> None:
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


def test_a_wrong_newest_event_time_is_a_fault() -> None:
    world = World()
    world.set_position(0, 7, START_US + 29 * MINUTE_US)
    assert world.faults() == {"fate_mismatches": 1}


def test_a_partition_without_a_position_is_a_fault() -> None:
    world = World()
    world.ledger = replace(world.ledger, positions={})
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


def test_five_examples_are_stored_and_all_faults_counted() -> None:
    found = OracleReport()
    for offset in range(9):
        found.fault("lost", f"partition 2 offset {offset}")
    assert found.lost == 9
    assert found.examples == {"lost": [f"partition 2 offset {offset}" for offset in range(5)]}


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=40))
def test_fates_equal_those_computed_from_the_whole_log(steps: list[tuple[int, int]]) -> None:
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
    clock = PartitionClock()
    assert [clock.fate(event_time_us, record_id, "c", 1) for event_time_us, record_id in log] == expected


TIMES = st.sampled_from([0, 5, 11, 59, 61, 75, 130, 190, 200, 600])


@given(st.lists(st.tuples(TIMES, st.sampled_from("abc"), st.sampled_from([1, 2, 2, 2])), max_size=25), st.data())
def test_the_jump_rules_of_oracle_tests_and_worker_agree(
    steps: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    log = [(minute * MINUTE_US, f"{name}{minute}".encode(), name) for minute, name, _ in steps]
    resets = data.draw(st.dictionaries(st.integers(0, max(0, len(log) - 1)), TIMES.map(lambda at: at * MINUTE_US)))
    expected = fates_and_maxima_of(log, lambda index: steps[index][2], resets)
    clock, panes, found, by_worker = PartitionClock(), OpenPanes(), [], []
    for index, ((event_time_us, record_id, comment_id), (_, _, version)) in enumerate(zip(log, steps, strict=True)):
        if index in resets:
            clock.reset(resets[index])
            before = zip(log[:index], expected, strict=False)
            counted = [(at_us, known) for (at_us, known, _), (fate, _) in before if fate == "counted"]
            panes = OpenPanes(RunningMaximum(resets[index]), counted)
        found.append((clock.fate(event_time_us, record_id, comment_id, version), (clock.newest_us, clock.candidate)))
        asked = [event_time_us], [record_id]
        fates, maximum = panes.fates(*asked, [comment_id], Rules(version))
        panes.remember(*asked, fates, maximum)
        by_worker.append((fates[0].value, tuple(maximum)))
    assert found == expected
    assert by_worker == expected


def test_a_wrong_candidate_and_an_unapplied_reset_are_faults() -> None:
    world = World()
    world.ledger = replace(world.ledger, candidates={0: (START_US + 200 * MINUTE_US, "c")})
    assert world.faults() == {"fate_mismatches": 1}
    world.ledger = replace(world.ledger, candidates={}, resets={0: [(6, START_US)]})
    assert world.faults() == {"fate_mismatches": 2}


def test_a_dead_letter_closed_by_other_bytes_is_misclosed() -> None:
    world = World()
    record = Logged.of(RAW[4])
    genuine = Closing((0, 3), (0, 4), ((Logged.of(RAW[3]).value_sha256.hex(), len(RAW[3])),))
    corrected = replace(genuine, contents=(*genuine.contents, (record.value_sha256.hex(), record.length)))
    world.ledger = replace(world.ledger, closings=[corrected])
    assert world.faults() == {}
    world.ledger = replace(world.ledger, closings=[genuine])
    assert world.faults() == {"misclosed": 1}
    world.ledger = replace(world.ledger, closings=[corrected, replace(corrected, letter=(0, 1))])
    assert world.faults() == {"misclosed": 1}
    world.ledger = replace(world.ledger, closings=[replace(corrected, replayed_as=(0, 10))])
    assert world.faults() == {"misclosed": 1}
