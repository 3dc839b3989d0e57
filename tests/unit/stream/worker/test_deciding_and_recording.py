from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Sequence
from typing import cast

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from grafana.source.alerts import STALLED
from moderation.contracts import Comment, Content, Hole, HoleKind, Pane, to_json
from moderation.errors import ModelRefused, OffsetsGone, TooManyDeadLetters
from moderation.ledger import DecisionRow, ReplayClaim, Versions
from moderation.panes import PANE_US, is_closed
from moderation.policy import Policy
from moderation.scoring import Kernel
from moderation.watermark import NOTHING_SEEN
from stream.worker import metrics
from stream.worker.dead_letter_limit import DeadLetterLimit
from stream.worker.decider import Decider
from stream.worker.messages import Decided, Publication, Record, ServingModel
from stream.worker.recorder import Recorder
from tests.support.event_time_rules import Seen, fates_of, panes_of
from tests.support.fakes import MemoryLedger
from tests.support.properties import examples

START_US = 1_700_000_100_000_000 // PANE_US * PANE_US
PaneRow = tuple[str, int, str]


class Worker:
    """Decider and recorder of one process; decided batches wait to be stored, in order."""

    def __init__(self, ledger: MemoryLedger, limit: DeadLetterLimit, partitions: Sequence[int] = (0,)) -> None:
        self.decider = Decider()
        self.recorder = Recorder(ledger, limit)
        positions = ledger.positions(dict.fromkeys(partitions, 0))
        self.decider.assign(positions)
        self.recorder.assign(positions)
        self.decided: deque[Decided] = deque()

    def decide(self, records: Sequence[Record], model: ServingModel) -> None:
        if (decided := self.decider.decide(records, model)) is not None:
            self.decided.append(decided)

    def store(self) -> Publication:
        return self.recorder.store(self.decided.popleft())


def generous() -> DeadLetterLimit:
    return DeadLetterLimit(10_000, 1.0, 10_000)


def records_of(rows: list[tuple[int, int, int, bool]]) -> list[Record]:
    """Return records from (partition, minutes after the start, number of the body, broken)."""
    offsets: dict[int, int] = {}
    records = []
    for partition, minutes, which, broken in rows:
        offset = offsets.get(partition, 0)
        offsets[partition] = offset + 1
        body = ("Nice study, thanks.", "you idiot!!!", "FREE money at http://spam.example")[which]
        comment = Comment(f"c{which}", ("science", "cooking")[which % 2], body, START_US + minutes * 60_000_000)
        value = b"no comment" if broken else to_json(comment)
        records.append(Record(partition, offset, START_US + 10**12, value))
    return records


ROWS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 60) | st.sampled_from([0, 200, 230, 400]),
        st.integers(0, 2),
        st.sampled_from([False] * 9 + [True]),
    ),
    max_size=30,
)


@examples(quick=5, thorough=1_500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, data=st.data())
def test_the_same_log_gives_the_same_ledger_panes_and_topics_however_it_is_cut_and_interrupted(
    kernel: Kernel, rows: list[tuple[int, int, int, bool]], data: st.DataObject
) -> None:
    records = records_of(rows)
    ledger = MemoryLedger()
    model = ServingModel(kernel, Policy(300_000, 700_000, ()), "1")
    topic: dict[tuple[int, int], list[tuple[DecisionRow, Versions]]] = {}
    panes_topic: dict[tuple[int, str, int], list[Pane]] = {}
    ends: dict[int, list[int]] = {0: [], 1: []}

    def send(published: Publication) -> None:
        for row, versions in published.decisions:
            topic.setdefault((row.partition, row.offset), []).append((row, versions))
        for pane in published.panes:
            key = (pane.partition, pane.community, pane.start_us)
            if key not in panes_topic:
                ends[pane.partition].append(pane.end_us)
            panes_topic.setdefault(key, []).append(pane)

    def closed_panes() -> set[tuple[int, str, int]]:
        return {
            key[:3]
            for key, sums in ledger.panes.items()
            if sums.comments and is_closed(key[2], ledger.maxima.get(key[0], NOTHING_SEEN).newest_event_us)
        }

    def start_anew() -> Worker:
        made = Worker(ledger, generous(), [0, 1])
        is_last = False
        while not is_last:
            backlog, is_last = made.recorder.unpublished(data.draw(st.sampled_from([1, 7, 100])))
            send(backlog)
            made.recorder.note_published(backlog)
        return made

    worker = start_anew()
    on_their_way: list[Publication] = []
    at = 0
    while at < len(records):
        upto = data.draw(st.integers(at, len(records)))
        again = data.draw(st.integers(0, at))  # records that come a second time are passed over
        ledger.outcome_unknown = data.draw(st.booleans())
        worker.decide(records[again:upto], model)
        at = max(at, upto)
        # A worker decides ahead of what it stores, and stores ahead of what it publishes; dying loses both.
        match data.draw(st.sampled_from(["decide ahead", "store", "publish", "die"])):
            case "store":
                on_their_way += [worker.store() for _ in range(min(len(worker.decided), 1))]
            case "publish":
                on_their_way += [worker.store() for _ in range(len(worker.decided))]
                for published in on_their_way:
                    send(published)
                    worker.recorder.note_published(published)
                on_their_way = []
                assert topic.keys() == ledger.rows.keys()
                assert panes_topic.keys() == closed_panes()
            case "die":
                on_their_way = []
                worker = start_anew()
                at = 0
                if data.draw(st.booleans()):
                    break
    worker.decide(records, model)
    for _ in range(len(worker.decided)):
        worker.store()
    worker = start_anew()
    worker.decide(records, model)
    for _ in range(len(worker.decided)):
        worker.store()
    start_anew()

    for partition in (0, 1):
        accepted = [record for record in records if record.partition == partition and record.value != b"no comment"]
        stored = [ledger.rows[partition, record.offset][0] for record in accepted]
        fates = fates_of((row.event_time_us, row.record_id, row.comment_id) for row in stored)
        assert [row.fate for row in stored] == fates
        seen = [Seen(r.offset, r.community, r.event_time_us, r.record_id, r.verdict, r.score_ppm) for r in stored]
        held = {
            (key[1], key[2]): [s.comments, s.reviews, s.removals, s.score_sum, s.late]
            for key, s in ledger.panes.items()
            if key[0] == partition
        }
        assert held == panes_of(seen, fates)
        assert ends[partition] == sorted(ends[partition])
    assert panes_topic.keys() == closed_panes()
    for key, panes in panes_topic.items():
        assert len(set(panes)) == 1
        assert panes[0].comments == ledger.panes[(*key, "1", model.policy.policy_version)].comments
    assert topic.keys() == ledger.rows.keys()
    assert all(values == [values[0]] * len(values) for values in topic.values())
    assert len(ledger.rows) + len(ledger.letters) == len(records)


def plain(offset: int) -> Record:
    return Record(0, offset, START_US + 10**12, to_json(Comment(f"c{offset}", "science", "Nice.", START_US)))


def hole(first: int, following: int, kind: HoleKind = HoleKind.MARKER) -> Hole:
    return Hole(0, first, following, kind, START_US)


@pytest.mark.parametrize(
    ("start", "offsets", "holes", "stored"),
    [
        pytest.param(0, [0, 2], [hole(1, 2)], [hole(1, 2)], id="between two records"),
        pytest.param(0, [2], [hole(0, 2)], [hole(0, 2)], id="before the first"),
        pytest.param(0, [0], [hole(1, 4)], [hole(1, 4)], id="behind the last"),
        pytest.param(0, [], [hole(0, 4)], [hole(0, 4)], id="no record at all"),
        pytest.param(0, [0, 4], [hole(1, 2), hole(2, 4)], [hole(1, 4)], id="neighbours of one kind"),
        pytest.param(
            0,
            [0, 4],
            [hole(1, 2), hole(2, 4, HoleKind.ABORTED)],
            [hole(1, 2), hole(2, 4, HoleKind.ABORTED)],
            id="neighbours of two kinds",
        ),
        pytest.param(3, [1, 5], [hole(0, 1), hole(2, 5)], [hole(3, 5)], id="read again from before the frontier"),
        pytest.param(3, [1], [hole(0, 1), hole(2, 3)], None, id="all of it known"),
    ],
)
def test_holes_are_stored_as_part_of_the_batch(
    kernel: Kernel, start: int, offsets: list[int], holes: list[Hole], stored: list[Hole] | None
) -> None:
    ledger = MemoryLedger()
    ledger.next[0] = start
    decider = Decider()
    decider.assign(ledger.positions({0: 0}))
    model = ServingModel(kernel, Policy(300_000, 700_000, ()), "1")
    decided = decider.decide([plain(offset) for offset in offsets], model, holes=holes)
    assert (decided and decided.batch.holes) == stored
    if decided is not None:
        ledger.store(decided.batch)
        assert ledger.next[0] == max([*(offset + 1 for offset in offsets), *(each.next for each in holes)])


@pytest.mark.parametrize(("compacted", "kind"), [(True, HoleKind.DELETED), (False, HoleKind.UNREADABLE)])
def test_records_gone_between_others_were_lost_unless_the_topic_is_compacted(
    kernel: Kernel, compacted: bool, kind: HoleKind
) -> None:
    ledger = MemoryLedger()
    recorder = Recorder(ledger, generous(), is_compacted=lambda: compacted)
    decider = Decider()
    positions = ledger.positions({0: 0})
    decider.assign(positions)
    recorder.assign(positions)
    model = ServingModel(kernel, Policy(300_000, 700_000, ()), "1")
    decided = decider.decide([plain(0), plain(3)], model, holes=[hole(1, 2), hole(2, 3, HoleKind.DELETED)])
    assert decided is not None
    recorder.store(decided)
    assert [each.kind for each in ledger.holes] == [HoleKind.MARKER, kind]


def test_a_record_that_is_known_to_fail_is_not_even_parsed(kernel: Kernel) -> None:
    decider = Decider()
    decider.assign(MemoryLedger().positions({0: 0}))
    model = ServingModel(kernel, Policy(300_000, 700_000, ()), "1")
    unreadable = Record(0, 1, START_US, b"no comment")
    decided = decider.decide([plain(0), unreadable, plain(2)], model, {unreadable.position: "SIGSEGV"})
    assert decided is not None
    assert [(offset, letter.reason) for _, offset, letter in decided.batch.dead_letters] == [(1, "processing_failed")]
    MemoryLedger().rehearse(decided.batch)
    assert len(decided.unreadable) == 3


def test_missing_offsets_next_to_a_hole_are_detected(kernel: Kernel) -> None:
    decider = Decider()
    decider.assign(MemoryLedger().positions({0: 0}))
    model = ServingModel(kernel, Policy(300_000, 700_000, ()), "1")
    with pytest.raises(OffsetsGone, match=r"\[2, 3\)"):
        decider.decide([plain(0), plain(3)], model, holes=[hole(1, 2)])


def test_a_hole_in_the_offsets_stores_nothing(kernel: Kernel) -> None:
    ledger = MemoryLedger()
    worker = Worker(ledger, generous())
    records = records_of([(0, 0, 0, False)] * 3)
    with pytest.raises(OffsetsGone, match=r"\[1, 2\) were not received"):
        worker.decide([records[0], records[2]], ServingModel(kernel, Policy(1, 2, ()), "1"))
    assert not worker.decided
    assert ledger.rows == {}


def test_too_many_unreadable_records_stop_the_worker_after_they_are_stored(kernel: Kernel) -> None:
    ledger = MemoryLedger()
    worker = Worker(ledger, DeadLetterLimit(1_000, 0.5, 20))
    worker.decide(records_of([(0, 0, 0, True)] * 20), ServingModel(kernel, Policy(1, 2, ()), "1"))
    with pytest.raises(TooManyDeadLetters, match="20 unreadable records in a row"):
        worker.store()
    assert len(ledger.letters) == 20
    assert ledger.next == {0: 20}


@pytest.mark.parametrize(
    "rows",
    [[(0, 0, 0, True)] * 5, [(0, 0, 0, False)] * 5, [(0, 600, 0, False), *([(0, 0, 0, False)] * 4)]],
    ids=["dead letters only", "duplicates", "late"],
)
def test_every_stored_record_counts_as_progress(kernel: Kernel, rows: list[tuple[int, int, int, bool]]) -> None:
    """The alert on waiting records uses this counter: a stream without new decisions may still make progress."""
    before = accounted()
    worker = Worker(MemoryLedger(), generous())
    worker.decide(records_of(rows), ServingModel(kernel, Policy(300_000, 700_000, ()), "1"))
    worker.store()
    assert accounted() - before == 5
    assert "moderation_accounted_offsets_total" in STALLED.text


def accounted() -> float:
    (family,) = metrics.ACCOUNTED.collect()
    return next(sample.value for sample in family.samples if sample.name.endswith("_total"))


def test_wrong_clocks_are_dead_letters_that_stop_nothing(kernel: Kernel) -> None:
    ledger = MemoryLedger()
    worker = Worker(ledger, DeadLetterLimit(10, 0.5, 5))
    ahead = to_json(Comment("c", "x", "hello", START_US + 10**9))
    records = [Record(0, offset, START_US, ahead) for offset in range(50)]
    worker.decide(records, ServingModel(kernel, Policy(1, 2, ()), "1"))
    worker.store()
    assert set(ledger.letters.values()) == {"future_dated"}


class Brittle:
    """Kernel that fails for texts with a word, or for every text if the word is empty."""

    def __init__(self, kernel: Kernel, word: str, error: Exception) -> None:
        self.kernel, self.word, self.error = kernel, word, error

    def __getattr__(self, name: str) -> object:
        return getattr(self.kernel, name)

    def score_many(self, texts: Sequence[str]) -> object:
        if any(self.word in text for text in texts):
            raise self.error
        return self.kernel.score_many(texts)


def brittle(kernel: Kernel, word: str, error: Exception) -> ServingModel:
    return ServingModel(cast(Kernel, Brittle(kernel, word, error)), Policy(300_000, 700_000, ()), "1")


def test_a_record_that_makes_deciding_fail_goes_into_quarantine_and_the_others_are_decided(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    records = records_of([(n % 2, n % 7, n % 3, n % 11 == 0) for n in range(60)])
    spam = {(r.partition, r.offset) for r in records if b"spam.example" in r.value}
    ledger, usual = MemoryLedger(), MemoryLedger()
    worker, other = (Worker(each, generous(), [0, 1]) for each in (ledger, usual))
    worker.decide(records, brittle(kernel, "spam.example", ValueError("FREE money at http://spam.example")))
    worker.store()
    other.decide(records, ServingModel(kernel, Policy(300_000, 700_000, ()), "1"))
    other.store()
    failed = {place for place, reason in ledger.letters.items() if reason == "processing_failed"}
    assert failed == spam
    assert ledger.rows == {place: row for place, row in usual.rows.items() if place not in spam}
    assert ledger.next == usual.next
    assert "spam.example" not in caplog.text
    assert "ValueError" in caplog.text


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError("disk"), ModelRefused("model", "damaged"), psycopg.OperationalError("away")]
)
def test_an_error_that_is_not_a_records_quarantines_nothing(kernel: Kernel, error: Exception) -> None:
    ledger = MemoryLedger()
    worker = Worker(ledger, generous(), [0, 1])
    with pytest.raises(type(error)):
        worker.decide(records_of([(0, 0, n % 3, False) for n in range(10)]), brittle(kernel, "spam", error))
    assert not worker.decided


def test_a_kernel_that_fails_for_every_text_quarantines_nothing(kernel: Kernel) -> None:
    worker = Worker(MemoryLedger(), generous(), [0, 1])
    with pytest.raises(ValueError, match="a defect"):
        worker.decide(records_of([(0, 0, 0, False)] * 10), brittle(kernel, "", ValueError("a defect")))
    assert not worker.decided


def test_unreadable_records_never_stop_a_worker_without_a_limit(kernel: Kernel) -> None:
    ledger = MemoryLedger()
    worker = Worker(ledger, DeadLetterLimit(10, None, None))
    worker.decide(records_of([(0, 0, 0, True)] * 300), ServingModel(kernel, Policy(1, 2, ()), "1"))
    worker.store()
    assert len(ledger.letters) == 300


@pytest.mark.parametrize("header", [b"", b"nonsense", b"1/2", f"{uuid.UUID(int=1)}/x/1".encode(), None])
def test_a_record_with_a_malformed_replay_header_is_decided_and_names_no_dead_letter(
    kernel: Kernel, header: bytes | None
) -> None:
    ledger = MemoryLedger()
    worker = Worker(ledger, generous())
    value = records_of([(0, 0, 0, False)])[0].value
    worker.decide([Record(0, 0, START_US, value, (header,))], ServingModel(kernel, Policy(1, 2, ()), "1"))
    assert worker.decided[0].batch.replays == [ReplayClaim(None, 0, 0, Content.of(value))]
    worker.store()
    assert ledger.next == {0: 1}
