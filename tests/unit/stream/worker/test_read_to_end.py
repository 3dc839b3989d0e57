from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.contracts import NEWEST_RULES, Fate, Verdict
from moderation.errors import FenceLost
from moderation.ledger import Batch, DecisionRow, Versions, pane_sums
from moderation.panes import LATENESS_US, PANE_US, closed_until_us
from moderation.scoring import Kernel
from moderation.timestamps import CLOCK_MARGIN_US
from moderation.watermark import NOTHING_SEEN
from stream.worker.dead_letter_limit import DeadLetterLimit
from stream.worker.messages import Decided
from stream.worker.read_to_end import EndTracker
from stream.worker.recorder import Recorder
from tests.support.event_time_rules import fates_of
from tests.support.fakes import MemoryLedger
from tests.support.properties import examples
from tests.unit.stream.worker.test_pipeline import positions, rig_of

MINUTE_US = 60 * 1_000_000
START_US = 1_700_000_000_000_000 // PANE_US * PANE_US
VERSIONS = Versions("1", "policy", "1")


@dataclass
class Log:
    """Partitions of a topic with append and event times of the broker's clock."""

    now_us: int = START_US
    ahead_us: int = 0
    records: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: {0: [], 1: []})
    answer_takes_us: int = 0
    is_away: bool = False
    asked: list[tuple[int, ...]] = field(default_factory=list)

    def append(self, partition: int, event_time_us: int) -> None:
        self.records[partition].append((self.now_us, event_time_us))

    def worker_us(self) -> int:
        """The worker's clock."""
        return self.now_us + self.ahead_us

    def ends(self, partitions: Iterable[int]) -> Mapping[int, int] | None:
        """Return the ends of partitions when the broker answers; the request takes some time."""
        self.asked.append(tuple(partitions))
        self.now_us += self.answer_takes_us
        return None if self.is_away else {p: len(self.records[p]) for p in self.asked[-1]}


class Worker:
    """Recorder and end tracker of one process."""

    def __init__(self, log: Log, ledger: MemoryLedger) -> None:
        self.log = log
        self.ledger = ledger
        self.ends = EndTracker(log.ends, log.worker_us)
        self.recorder = Recorder(ledger, DeadLetterLimit(1_000, None, None), ends=self.ends)
        self.positions = ledger.positions(dict.fromkeys(log.records, 0))
        self.recorder.assign(self.positions)

    def store(self, partition: int, count: int) -> None:
        """Decide and store the next records of a partition."""
        lo = self.recorder.stored[partition]
        log = self.log.records[partition]
        hi = min(lo + count, len(log))
        fates = fates_of((event_us, f"{partition} {n}".encode()) for n, (_, event_us) in enumerate(log[:hi]))
        rows = [
            DecisionRow(
                partition,
                offset,
                log[offset][0],
                f"c{offset}",
                "x",
                log[offset][1],
                f"{partition} {offset}".encode(),
                1,
                Verdict.ALLOW,
                Fate(fates[offset]),
                None,
            )
            for offset in range(lo, hi)
        ]
        if rows:
            before = after = self.ledger.maxima.get(partition, NOTHING_SEEN)
            for row in rows:
                after = after.after(row.event_time_us, row.comment_id, NEWEST_RULES)
            panes = pane_sums(rows, VERSIONS)
            batch = Batch({partition: (lo, hi)}, VERSIONS, rows, [], panes, maxima={partition: (before, after)})
            self.recorder.store(Decided(batch, [False] * len(rows), 0))

    def look(self) -> None:
        """Do what the worker does every few seconds."""
        self.recorder.observe_ends(self.log.records)
        if self.recorder.is_end_due:
            self.recorder.note_read_to_end()


def test_the_time_of_an_observation_is_taken_before_the_broker_is_asked() -> None:
    log = Log(answer_takes_us=MINUTE_US)
    ends = EndTracker(log.ends, log.worker_us)
    ends.observe({0: 0})
    assert ends.read_to_end_us(0, 0) == START_US - CLOCK_MARGIN_US


def test_a_partition_with_records_that_are_not_stored_is_not_read_to_its_end() -> None:
    log = Log()
    ends = EndTracker(log.ends, log.worker_us)
    log.append(0, START_US)
    log.append(0, START_US)
    ends.observe({0: 1})
    assert ends.read_to_end_us(0, 1) is None
    log.now_us += MINUTE_US
    log.append(0, START_US)  # a partition that never pauses
    ends.observe({0: 1})
    # The first look counts once the ledger is past its end, whatever came after it.
    assert ends.read_to_end_us(0, 2) == START_US - CLOCK_MARGIN_US


def test_an_end_that_is_not_reached_yet_is_not_asked_for_again() -> None:
    log = Log()
    ends = EndTracker(log.ends, log.worker_us)
    log.append(0, START_US)
    for stored in ({0: 0, 1: 0}, {0: 0, 1: 0}, {0: 1, 1: 0}):
        ends.observe(stored)
        ends.observe(stored)  # within five seconds of the answer nothing is asked
        log.now_us += 5_000_000
    assert log.asked == [(0, 1), (1,), (0, 1)]


def test_a_partition_without_comments_is_stored_as_read_every_five_minutes() -> None:
    log, ledger = Log(), MemoryLedger()
    worker = Worker(log, ledger)
    stored = []
    for _ in range(11 * 12):  # eleven minutes, an observation each five seconds
        worker.look()
        stored.append(ledger.read_to_end_us[1])
        log.now_us += 5_000_000
    assert stored[0] == START_US - CLOCK_MARGIN_US
    steps = [after - before for before, after in pairwise(dict.fromkeys(stored))]
    assert (len(steps), max(steps)) == (2, PANE_US)


def test_a_log_that_ends_before_the_stored_offset_is_ignored() -> None:
    log = Log()
    ends = EndTracker(log.ends, log.worker_us)
    ends.observe({0: 5})
    assert ends.read_to_end_us(0, 5) is None


def test_a_broker_that_does_not_answer_changes_nothing() -> None:
    log = Log()
    ends = EndTracker(log.ends, log.worker_us)
    ends.observe({0: 0})
    log.is_away = True
    log.now_us += MINUTE_US
    ends.observe({0: 0})
    assert ends.read_to_end_us(0, 0) == START_US - CLOCK_MARGIN_US


def test_a_clock_that_is_ahead_is_detected_by_the_first_record_after_an_observation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Log(ahead_us=60 * MINUTE_US)
    ends = EndTracker(log.ends, log.worker_us)
    ends.observe({0: 0})
    early_us = ends.read_to_end_us(0, 0)
    assert early_us is not None
    assert early_us > log.now_us
    log.now_us += 5_000_000
    log.append(0, START_US)
    ends.compare(0, 0, log.records[0][0][0])
    assert "ahead of the broker's by 3595 s at least" in caplog.text
    ends.observe({0: 1})
    late_us = ends.read_to_end_us(0, 1)
    assert late_us is not None
    assert late_us <= log.now_us


def test_an_idle_worker_writes_once_for_each_pane_that_may_end_a_window() -> None:
    log, ledger = Log(), MemoryLedger()
    writes = []
    mark = ledger.mark_read_to_end

    def counted(reached: Mapping[int, tuple[int, int]]) -> None:
        writes.append(reached)
        mark(reached)

    ledger.mark_read_to_end = counted  # type: ignore[method-assign]
    worker = Worker(log, ledger)
    for _ in range(60 * 12):  # an hour
        worker.look()
        log.now_us += 5_000_000
    assert 12 <= len(writes) <= 13
    again = Worker(log, ledger)
    again.look()
    assert len(writes) <= 13, "a worker that starts knows what is written"


def test_a_window_closes_a_minute_after_its_deadline_without_another_comment() -> None:
    log, ledger = Log(), MemoryLedger()
    worker = Worker(log, ledger)
    log.append(0, START_US + 1)
    worker.store(0, 1)
    end_us = START_US + PANE_US
    while ledger.closed_until_us() < end_us:
        log.now_us += 5_000_000
        worker.look()
    waited_us = log.now_us - (end_us + LATENESS_US)
    assert CLOCK_MARGIN_US < waited_us <= CLOCK_MARGIN_US + 5_000_000


def test_a_worker_whose_partition_was_taken_over_writes_nothing() -> None:
    log, ledger = Log(), MemoryLedger()
    zombie, owner = Worker(log, ledger), Worker(log, ledger)
    log.append(1, START_US)
    owner.store(1, 1)
    log.now_us += 60 * MINUTE_US
    log.records[1].pop()  # what the zombie saw of the log
    zombie.recorder.observe_ends([0, 1])
    assert zombie.recorder.is_end_due
    with pytest.raises(FenceLost):
        zombie.recorder.note_read_to_end()
    assert ledger.read_to_end_us == {}


def test_only_a_worker_with_an_assignment_notes_that_partitions_were_read_to_their_ends(kernel: Kernel) -> None:
    now_us = [1_700_000_000_000_000]

    async def scenario() -> None:
        rig = await rig_of(kernel, 10, ends=EndTracker(lambda wanted: dict.fromkeys(wanted, 0), lambda: now_us[0]))
        await rig.pipeline.note_read_to_end({0})
        first_us = rig.ledger.read_to_end_us[0]
        await rig.pipeline.release()
        now_us[0] += 3_600_000_000
        await rig.pipeline.note_read_to_end({0})
        assert rig.ledger.read_to_end_us[0] == first_us
        await rig.pipeline.assign(2, lambda: positions(rig.ledger))
        await rig.pipeline.note_read_to_end({0})
        assert rig.ledger.read_to_end_us[0] == first_us + 3_600_000_000

    asyncio.run(scenario())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 1), st.integers(-40, 5)),
        st.tuples(st.just("store"), st.integers(0, 1), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.just(0), st.integers(1, 25)),
        st.tuples(st.sampled_from(["look", "restart"]), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@examples(quick=150, thorough=3_000)
@given(steps=STEPS, ahead_us=st.integers(-3_600_000_000, CLOCK_MARGIN_US), takes_us=st.integers(0, 30_000_000))
def test_windows_close_and_reopen_as_stated_whatever_is_quiet_restarted_or_comes_later(
    steps: list[tuple[str, int, int]], ahead_us: int, takes_us: int
) -> None:
    log, ledger = Log(ahead_us=ahead_us, answer_takes_us=takes_us), MemoryLedger()
    worker = Worker(log, ledger)
    reopened: dict[int, int] = {}
    before_us: int | None = None
    for action, partition, amount in steps:
        before_us = ledger.closed_until_us()
        match action:
            case "append":
                log.append(partition, log.now_us + amount * MINUTE_US)
            case "store":
                lo = worker.recorder.stored[partition]
                worker.store(partition, amount)
                for row, _ in ledger.rows.values():
                    end_us = row.event_time_us // PANE_US * PANE_US + PANE_US
                    is_new = row.partition == partition and row.offset >= lo
                    if is_new and row.fate is Fate.COUNTED and end_us <= before_us:
                        reopened[end_us] = max(before_us, reopened.get(end_us, before_us))
            case "wait":
                log.now_us += amount * MINUTE_US
            case "look":
                worker.look()
            case "restart":
                worker = Worker(log, ledger)
        # Closings are never taken back, and no record that comes after one was appended before its time.
        assert ledger.closed_until_us() >= before_us
        for p, us in ledger.read_to_end_us.items():
            assert all(append_us >= us for append_us, _ in log.records[p][ledger.next[p] :])
        assert ledger.closed_until_us() == min(
            closed_until_us(ledger.maxima.get(p, NOTHING_SEEN).newest_event_us, ledger.read_to_end_us.get(p))
            for p in (0, 1)
        )
    found = {key[2] + PANE_US: us for key, us in ledger.reopened_until_us.items() if key[0] == 0}
    found |= {
        key[2] + PANE_US: max(us, found.get(key[2] + PANE_US, us))
        for key, us in ledger.reopened_until_us.items()
        if key[0] == 1
    }
    assert found == reopened
    # No fate depends on a closing: the log alone gives them.
    for p, records in log.records.items():
        stored = [row for row, _ in ledger.rows.values() if row.partition == p]
        fates = fates_of((event_us, f"{p} {n}".encode()) for n, (_, event_us) in enumerate(records))
        assert [row.fate for row in sorted(stored, key=lambda row: row.offset)] == fates[: len(stored)]
    # Reading on closes every window in the end, without another comment.
    for p in (0, 1):
        worker.store(p, 1_000)
    log.now_us += 3 * 60 * MINUTE_US
    worker.look()
    newest_us = max((event_us for records in log.records.values() for _, event_us in records), default=START_US)
    assert ledger.closed_until_us() >= newest_us // PANE_US * PANE_US + PANE_US
