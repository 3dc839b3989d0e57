"""Contract of the ledger, for the fake in memory and the one in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import psycopg
import pytest

from moderation.contracts import NEWEST_RULES, DeadLetterReason, Fate, Hole, HoleKind, Pane, Verdict, dead_letter
from moderation.errors import FenceLost, InvalidRecord
from moderation.ledger import Batch, DecisionRow, Position, Versions, pane_sums
from moderation.panes import LATENESS_US, PANE_US
from moderation.watermark import NOTHING_SEEN, Candidate, RunningMaximum
from tests.support.event_time_rules import HOUR_US
from tests.support.fakes import MemoryLedger

VERSIONS, NEWER = Versions("1", "policy", "1"), Versions("2", "policy", "1")
START_US = 1_700_000_000_000_000 // PANE_US * PANE_US
APPEND_US = START_US + PANE_US


class AnyLedger(Protocol):
    """The common interface of fake and real ledger; see :class:`stream.worker.recorder.Store`."""

    def positions(self, log_starts: Mapping[int, int]) -> dict[int, Position]: ...

    def store(self, batch: Batch) -> bool: ...

    def rehearse(self, batch: Batch) -> None: ...

    def begin_attempts(self, partitions: Iterable[int]) -> dict[int, int]: ...

    def give_up_attempts(self, partitions: Iterable[int]) -> None: ...

    def mark_read_to_end(self, reached: Mapping[int, tuple[int, int]]) -> None: ...

    def decisions_between(self, partition: int, lo: int, hi: int) -> list[tuple[DecisionRow, Versions]]: ...

    def closed_panes(self, partition: int, after_us: int | None, upto_us: int) -> list[Pane]: ...


@pytest.fixture(params=["memory", "postgres"])
def opened(request: pytest.FixtureRequest) -> Iterator[Callable[[], AnyLedger]]:
    """Opens the ledger of one topic, as a starting worker does."""
    if request.param == "memory":
        memory = MemoryLedger()
        yield lambda: memory
        return
    from local.stack.commands import StackInfo
    from moderation.adapters.sql.ledger import Ledger
    from moderation.adapters.sql.migrate import migrate_database
    from moderation.adapters.sql.retrying_ledger import RetryingLedger

    stack: StackInfo = request.getfixturevalue("stack")
    migrate_database(stack.database_url())
    topic_id = uuid.uuid4()
    ledgers: list[RetryingLedger] = []

    def open_ledger() -> RetryingLedger:
        ledgers.append(RetryingLedger(Ledger(stack.database_url(), f"topic-{topic_id}", topic_id), seconds=5))
        return ledgers[-1]

    yield open_ledger
    for ledger in ledgers:
        ledger.close()


def row(offset: int, minutes: float = 0, fate: Fate = Fate.COUNTED, partition: int = 0) -> DecisionRow:
    event_time_us = START_US + int(minutes * 60_000_000)
    record_id = bytes([partition, offset]) * 16
    return DecisionRow(
        partition, offset, APPEND_US, f"c{offset}", "x", event_time_us, record_id, 400_000, Verdict.REVIEW, fate, ["a"]
    )


def batch(*rows: DecisionRow, versions: Versions = VERSIONS, **changes: object) -> Batch:
    """A batch of consecutive rows with their pane sums."""
    offsets: dict[int, list[int]] = {}
    for each in rows:
        offsets.setdefault(each.partition, []).append(each.offset)
    fields = {
        "ranges": {partition: (min(them), max(them) + 1) for partition, them in offsets.items()},
        "versions": versions,
        "decisions": list(rows),
        "dead_letters": [],
        "panes": pane_sums(list(rows), versions),
    }
    return Batch(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_partition_that_was_never_seen_starts_at_the_start_of_the_log(opened: Callable[[], AnyLedger]) -> None:
    positions = opened().positions({0: 7, 3: 0})
    assert {partition: (each.next, each.published_next) for partition, each in positions.items()} == {
        0: (7, 7),
        3: (0, 0),
    }
    assert {(each.versions, each.panes_published_us, each.open_panes.maximum) for each in positions.values()} == {
        (None, None, NOTHING_SEEN)
    }


def test_stored_decisions_are_read_in_order_with_their_versions(opened: Callable[[], AnyLedger]) -> None:
    ledger = opened()
    ledger.positions({0: 0, 1: 0})
    first = [row(0), row(1), row(0, partition=1)]
    assert ledger.store(batch(*first)) is False
    ledger.store(batch(row(2), versions=NEWER))
    again = opened()
    assert again.decisions_between(0, 0, 10) == [(first[0], VERSIONS), (first[1], VERSIONS), (row(2), NEWER)]
    assert again.decisions_between(0, 1, 2) == [(first[1], VERSIONS)]
    positions = again.positions({0: 0, 1: 0})
    assert {partition: (each.next, each.versions) for partition, each in positions.items()} == {
        0: (3, NEWER),
        1: (1, VERSIONS),
    }


def test_a_batch_that_does_not_begin_at_the_position_changes_nothing(opened: Callable[[], AnyLedger]) -> None:
    zombie, owner = opened(), opened()
    for ledger in (zombie, owner):
        ledger.positions({0: 0, 1: 0})
    owner.store(batch(row(0)))
    with pytest.raises(FenceLost):
        zombie.store(batch(row(0, partition=1), row(0), row(1)))
    assert owner.decisions_between(1, 0, 10) == []
    assert {partition: each.next for partition, each in owner.positions({0: 0, 1: 0}).items()} == {0: 1, 1: 0}
    owner.store(batch(row(1)))


def test_offsets_without_a_record_are_accounted_for_in_holes(opened: Callable[[], AnyLedger]) -> None:
    ledger = opened()
    ledger.positions({0: 0})
    marker = Hole(0, 1, 3, HoleKind.MARKER, APPEND_US)
    with pytest.raises(ValueError, match="for 4 offsets"):
        ledger.store(batch(row(0), ranges={0: (0, 4)}, holes=[marker]))
    assert ledger.positions({0: 0})[0].next == 0
    ledger.store(batch(row(0), ranges={0: (0, 3)}, holes=[marker]))
    ledger.store(batch(ranges={0: (3, 9)}, holes=[Hole(0, 3, 9, HoleKind.UNREADABLE, APPEND_US, "too large")]))
    assert ledger.positions({0: 0})[0].next == 9
    assert ledger.decisions_between(0, 0, 9) == [(row(0), VERSIONS)]


def test_attempts_at_one_offset_are_counted_until_something_is_stored_or_they_are_given_up(
    opened: Callable[[], AnyLedger],
) -> None:
    ledger = opened()
    ledger.positions({0: 0, 1: 0})
    assert [ledger.begin_attempts([0, 1]) for _ in range(3)] == [{0: 0, 1: 0}, {0: 1, 1: 1}, {0: 2, 1: 2}]
    ledger.store(batch(row(0)))
    assert ledger.begin_attempts([0, 1]) == {0: 0, 1: 3}
    ledger.give_up_attempts([0, 1])
    assert ledger.begin_attempts([0, 1]) == {0: 0, 1: 0}


def test_every_offset_is_one_decision_or_one_dead_letter(opened: Callable[[], AnyLedger]) -> None:
    ledger = opened()
    ledger.positions({0: 0})
    letter = dead_letter(b"{}", APPEND_US, InvalidRecord(DeadLetterReason.NOT_JSON, ""))
    with pytest.raises(ValueError, match="for 2 offsets"):
        ledger.store(batch(row(0), ranges={0: (0, 2)}))
    with pytest.raises(ValueError, match="for 2 offsets"):
        ledger.store(batch(row(0), row(1), dead_letters=[(0, 1, letter)]))
    assert ledger.positions({0: 0})[0].next == 0
    ledger.store(batch(row(0), ranges={0: (0, 2)}, dead_letters=[(0, 1, letter)]))
    assert ledger.positions({0: 0})[0].next == 2
    assert ledger.decisions_between(0, 0, 2) == [(row(0), VERSIONS)]


def test_panes_are_the_sums_of_all_batches_in_order_of_their_ends(opened: Callable[[], AnyLedger]) -> None:
    ledger = opened()
    ledger.positions({0: 0})
    ledger.store(batch(row(0, 0), row(1, 6), row(2, 1, Fate.DUPLICATE)))
    ledger.store(batch(row(3, 4), row(4, 11, Fate.LATE)))
    ends = START_US + PANE_US, START_US + 2 * PANE_US, START_US + 3 * PANE_US
    panes = ledger.closed_panes(0, None, ends[2])
    assert [(pane.end_us, pane.comments, pane.reviews, pane.removals, pane.score_sum) for pane in panes] == [
        (ends[0], 2, 2, 0, 800_000),
        (ends[1], 1, 1, 0, 400_000),
    ]
    assert ledger.closed_panes(0, ends[0], ends[2]) == panes[1:]
    assert ledger.closed_panes(0, None, ends[0]) == panes[:1]


def test_a_position_contains_the_state_that_determines_the_next_fate(opened: Callable[[], AnyLedger]) -> None:
    ledger = opened()
    ledger.positions({0: 0})
    newest_us = START_US + PANE_US + LATENESS_US
    maximum = RunningMaximum(newest_us, Candidate(newest_us + 2 * HOUR_US, "c9"))
    rows = (row(0, 0), row(1, 6), row(2, (newest_us - START_US) / 60_000_000), row(3, 7, Fate.DUPLICATE))
    ledger.store(batch(*rows, maxima={0: (NOTHING_SEEN, maximum)}))
    panes = opened().positions({0: 0})[0].open_panes
    assert panes.maximum == maximum
    asked = [row(0, 0), row(1, 6), row(9, 6)]
    fates, _ = panes.fates(
        [each.event_time_us for each in asked],
        [each.record_id for each in asked],
        [each.comment_id for each in asked],
        NEWEST_RULES,
    )
    assert fates == [Fate.LATE, Fate.DUPLICATE, Fate.COUNTED]


def test_a_batch_decided_by_another_maximum_is_refused(opened: Callable[[], AnyLedger]) -> None:
    ledger = opened()
    ledger.positions({0: 0})
    first = RunningMaximum(START_US)
    ledger.store(batch(row(0), maxima={0: (NOTHING_SEEN, first)}))
    second = RunningMaximum(START_US, Candidate(START_US + 2 * HOUR_US, "c1"))
    for other in (NOTHING_SEEN, RunningMaximum(START_US + 1), second):
        with pytest.raises(FenceLost):
            ledger.store(batch(row(1), maxima={0: (other, second)}))
    ledger.store(batch(row(1), maxima={0: (first, second)}))
    position = ledger.positions({0: 0})[0]
    assert (position.next, position.open_panes.maximum) == (2, second)


def test_published_positions_move_forward_only(opened: Callable[[], AnyLedger]) -> None:
    ledger = opened()
    ledger.positions({0: 0})
    ledger.store(batch(row(0)))
    for offset, published, ends_us in ((1, 1, START_US), (2, 0, START_US - PANE_US)):
        ledger.store(batch(row(offset), published={0: published}, panes_published_us={0: ends_us}))
        position = opened().positions({0: 0})[0]
        assert (position.published_next, position.panes_published_us) == (1, START_US)


def test_a_rehearsal_fails_like_storing_and_leaves_nothing(opened: Callable[[], AnyLedger]) -> None:
    ledger = opened()
    ledger.positions({0: 0})
    ledger.store(batch(row(0)))
    good = row(1)
    for whole in (batch(good, row(2)._replace(comment_id="c\0")), batch(row(1)._replace(community="x\0"))):
        with pytest.raises(psycopg.DataError):
            ledger.store(whole)
        with pytest.raises(psycopg.DataError):
            ledger.rehearse(whole)
    ledger.rehearse(batch(good))
    assert ledger.positions({0: 0})[0].next == 1
    assert [found.offset for found, _ in ledger.decisions_between(0, 0, 10)] == [0]
    assert [pane.comments for pane in ledger.closed_panes(0, None, START_US + 10 * PANE_US)] == [1]
    ledger.store(batch(good))


def test_read_to_end_times_are_stored_with_or_without_a_batch_and_never_decrease(
    opened: Callable[[], AnyLedger],
) -> None:
    ledger = opened()

    def noted() -> dict[int, int | None]:
        return {p: position.read_to_end_us for p, position in ledger.positions({0: 0, 1: 0}).items()}

    assert noted() == {0: None, 1: None}
    ledger.mark_read_to_end({0: (0, APPEND_US), 1: (0, APPEND_US + 1)})
    assert noted() == {0: APPEND_US, 1: APPEND_US + 1}
    ledger.mark_read_to_end({0: (0, APPEND_US - 1)})
    ledger.store(batch(row(0), read_to_end_us={0: APPEND_US + 5}))
    ledger.store(batch(row(1)))
    assert noted() == {0: APPEND_US + 5, 1: APPEND_US + 1}


def test_read_to_end_times_are_refused_after_a_partition_advanced(opened: Callable[[], AnyLedger]) -> None:
    zombie, owner = opened(), opened()
    for ledger in (zombie, owner):
        ledger.positions({0: 0, 1: 0})
    owner.store(batch(row(0, partition=1)))
    with pytest.raises(FenceLost):
        zombie.mark_read_to_end({0: (0, APPEND_US), 1: (0, APPEND_US)})
    assert {each.read_to_end_us for each in owner.positions({0: 0, 1: 0}).values()} == {None}
