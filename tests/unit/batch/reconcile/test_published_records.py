"""Which records of the published topics are compared, and with which rows, on a topic and a ledger in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from batch.reconcile import published
from batch.reconcile.published import _Comparison
from moderation.adapters.kafka.row_records import PublishedTopic
from moderation.adapters.kafka.topic_reader import LogRecord, TopicReader
from moderation.adapters.reconciliation.published_checks import PublishedCheck
from moderation.adapters.sql.published_rows import Place, PublishedBounds, RowSelection, SourcePartition
from moderation.contracts import MAX_OFFSET
from moderation.timestamps import DAY_US, HOUR_US, MINUTE_US, day_bounds_us, day_of, day_start_us

DAY = date(2026, 11, 20)
START_US, END_US = day_bounds_us(DAY)
NOON_US, READ_US = START_US + 12 * HOUR_US, END_US + 3 * HOUR_US
SOURCE, PUBLISHED = UUID(int=1), UUID(int=2)
YESTERDAY = DAY - timedelta(days=1)


@dataclass
class Topic:
    """A published topic with one partition; times are those that producers set."""

    topic_id = PUBLISHED
    times_us: list[int] = field(default_factory=list)
    keyed: list[tuple[bytes, bytes]] = field(default_factory=list)

    def retention_ms(self) -> None:
        return None

    def ranges(self) -> dict[int, tuple[int, int]]:
        return {0: (0, len(self.times_us))}

    def first_offset_since(self, partition: int, time_us: int) -> int | None:
        return next((offset for offset, each in enumerate(self.times_us) if each >= time_us), None)

    def records(self, partition: int, first: int, end: int) -> Iterator[LogRecord]:
        for offset in range(first, end):
            yield LogRecord(offset, self.times_us[offset], *self.keyed[offset], [], False)

    def send(self, time_us: int, key: bytes, value: bytes) -> None:
        self.times_us.append(time_us)
        self.keyed.append((key, value))


class Ledger:
    """Rows of two partitions by position, with their append days; the second partition has none."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[date, bytes, bytes]] = {}
        self.dropped: set[int] = set()
        self.ends: Mapping[int, int] = {}
        self.queries: list[RowSelection] = []

    def row_records(
        self, connection: object, topic: str, name: PublishedTopic, source: SourcePartition, chosen: RowSelection
    ) -> Iterator[tuple[int, bytes, bytes]]:
        self.queries.append(chosen)
        first, end = chosen.offsets or (0, source.next)
        for pos, (day, key, value) in sorted(self.rows.items()) if source.partition == 0 else ():
            if name == "panes":
                day = day_of(pos)
            if (chosen.first_day or day) <= day <= (chosen.last_day or day) and (name == "panes" or first <= pos < end):
                yield pos, key, value

    def partitions(self, connection: object, topic: str, partition: None) -> list[SourcePartition]:
        return [SourcePartition(SOURCE, 0, max(self.rows, default=-1) + 1, None), SourcePartition(SOURCE, 1, 0, None)]

    def offsets(self, connection: object, topic: str, day: date) -> dict[tuple[str, int], tuple[int, int]]:
        of_day = [pos for pos, row in self.rows.items() if row[0] == day]
        return {(str(SOURCE), 0): (min(of_day), max(of_day) + 1)} if of_day else {}

    def dropped_places(self, connection: object, places: Sequence[Place], days: object) -> list[Place]:
        return [place for place in places if place[2] in self.dropped]


@dataclass
class Setting:
    """Topic and ledger, and the comparison of them."""

    folder: Path
    topic: Topic = field(default_factory=Topic)
    ledger: Ledger = field(default_factory=Ledger)

    def decide(self, pos: int, day: date, *, sent_us: int | None = None) -> bytes:
        value = decision(pos)
        self.ledger.rows[pos] = (day, b"c", value)
        if sent_us is not None:
            self.topic.send(sent_us, b"c", value)
        return value

    def check(self, name: PublishedTopic = "decisions") -> PublishedCheck:
        bounds = {(SOURCE, part): PublishedBounds(10**12, READ_US) for part in (0, 1)}
        folder = self.folder / f"{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        comparison = _Comparison(cast(Any, None), "comments", name, DAY, bounds, folder)
        return comparison.check(cast(TopicReader, self.topic))


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    setting = Setting(tmp_path)
    ledger = setting.ledger
    for name, replacement in {
        "row_records": ledger.row_records,
        "source_partitions": ledger.partitions,
        "offsets_of_day": ledger.offsets,
        "dropped_append_days": lambda connection, topic: [],
        "dropped_places": ledger.dropped_places,
        "ends_of_last_check": lambda *arguments: ledger.ends,
        "now_us": lambda: READ_US,
    }.items():
        monkeypatch.setattr(published, name, replacement)
    for pos in range(10):
        setting.decide(pos, YESTERDAY if pos < 5 else DAY, sent_us=NOON_US - (DAY_US if pos < 5 else 0) + pos)
    return setting


def decision(pos: int, partition: int = 0, **fields: object) -> bytes:
    return json.dumps({"topic_id": str(SOURCE), "partition": partition, "offset": pos, **fields}).encode()


def test_a_day_without_a_fault_has_no_difference(setting: Setting) -> None:
    check = setting.check()
    assert (check.compared, check.defects, check.read_to) == (5, {}, {str(PUBLISHED): {"0": 10}})
    assert [query.offsets for query in setting.ledger.queries] == [None, None], "only rows of the day are read"


@pytest.mark.parametrize("pos", [10, 10**6, MAX_OFFSET])
def test_a_position_beyond_the_end_of_the_ledger_is_unknown(setting: Setting, pos: int) -> None:
    setting.topic.send(NOON_US, b"c", decision(pos))
    assert setting.check().examples == {"published_unknown": [f"{SOURCE}/0/{pos}"]}


@pytest.mark.parametrize("pos", [0, 7, 10**6])
def test_a_position_of_a_partition_that_decided_nothing_that_day_is_unknown(setting: Setting, pos: int) -> None:
    setting.topic.send(NOON_US, b"c", decision(pos, partition=1))
    assert setting.check().examples == {"published_unknown": [f"{SOURCE}/1/{pos}"]}


def test_a_position_between_rows_of_other_days_is_unknown(setting: Setting) -> None:
    del setting.ledger.rows[3]
    setting.topic.send(NOON_US, b"c", decision(3))
    assert setting.check().examples == {"published_unknown": [f"{SOURCE}/0/3"]}


def test_a_row_of_an_earlier_day_that_is_sent_again_is_compared(setting: Setting) -> None:
    setting.topic.send(NOON_US, b"c", decision(2))
    assert setting.check().defects == {}
    setting.topic.send(NOON_US, b"c", decision(2, verdict="other"))
    setting.topic.send(NOON_US, b"other key", decision(3))
    assert setting.check().examples == {"published_otherwise": [f"{SOURCE}/0/2", f"{SOURCE}/0/3"]}


def test_a_row_that_is_decided_on_a_later_day_is_compared_on_the_day_of_its_record(setting: Setting) -> None:
    setting.decide(10, DAY + timedelta(days=1), sent_us=END_US - 1)
    assert setting.check().defects == {}
    setting.topic.send(END_US - 1, b"c", decision(10, verdict="other"))
    assert setting.check().defects == {"published_otherwise": 1}


@pytest.mark.parametrize(
    ("time_us", "counts"),
    [
        (START_US, True),
        (END_US - 1_000, True),
        (END_US, False),  # the next day counts it
        (READ_US, False),
        (READ_US + 1_000, True),  # no later day would
        (READ_US + 400 * DAY_US, True),
        (0, True),
    ],
)
def test_the_day_of_a_record_is_that_of_its_time_if_the_day_can_count_it(
    setting: Setting, time_us: int, counts: bool
) -> None:
    setting.topic.send(time_us, b"c", decision(2, verdict="other"))
    setting.topic.send(time_us, b"c", b"nonsense")
    assert setting.check().defects == ({"published_otherwise": 1, "published_unknown": 1} if counts else {})


def test_a_record_with_an_early_time_counts_if_the_last_comparison_ended_before_it(setting: Setting) -> None:
    setting.topic = Topic()
    setting.ledger.rows = {}
    setting.topic.send(START_US - DAY_US, b"c", decision(8))
    assert setting.check().defects == {}, "an earlier day counts it"
    setting.topic.send(0, b"c", decision(9))
    setting.ledger.ends = {0: 1}
    assert setting.check().examples == {"published_unknown": [f"{SOURCE}/0/9"]}
    setting.ledger.ends = {0: 2}
    assert setting.check().defects == {}


def test_a_later_record_of_a_row_of_the_day_counts_whenever_it_is_sent(setting: Setting) -> None:
    setting.topic.send(END_US + HOUR_US, b"c", decision(7, verdict="other"))
    assert setting.check().examples == {"published_otherwise": [f"{SOURCE}/0/7"]}


def test_rows_that_were_dropped_are_not_compared(setting: Setting) -> None:
    for pos in (2, 3):
        del setting.ledger.rows[pos]
        setting.topic.send(NOON_US, b"c", decision(pos))
    setting.ledger.dropped = {2}
    assert setting.check().examples == {"published_unknown": [f"{SOURCE}/0/3"]}


def test_many_rows_of_another_day_are_read_in_few_queries(setting: Setting) -> None:
    for pos in range(100, 25_000):
        setting.decide(pos, YESTERDAY, sent_us=NOON_US)
    setting.ledger.queries.clear()
    assert setting.check().defects == {}
    assert [query.offsets for query in setting.ledger.queries if query.offsets] == [(100, 25_000)]


def pane(start_us: int) -> bytes:
    return json.dumps([str(SOURCE), 0, "science", start_us, "1", "p"]).encode()


def test_panes_of_other_days_are_compared_by_their_last_record(setting: Setting) -> None:
    setting.topic, setting.ledger.rows = Topic(), {}
    early_us = day_start_us(YESTERDAY) + HOUR_US
    for number in range(3):
        start_us = early_us + number * 5 * MINUTE_US
        setting.ledger.rows[start_us] = (YESTERDAY, pane(start_us), b"new")
        setting.topic.send(NOON_US, pane(start_us), b"new" if number else b"old")
    unknown = pane(early_us - DAY_US)
    assert setting.check("panes").examples == {"published_otherwise": [pane(early_us).decode()]}
    setting.topic.send(END_US + HOUR_US, pane(early_us), b"new")
    assert setting.check("panes").defects == {}, "sent again on the next day"
    setting.topic.send(NOON_US, unknown, b"new")
    setting.topic.send(NOON_US, pane(MAX_OFFSET), b"new")
    assert setting.check("panes").defects == {"published_unknown": 2}
    setting.topic.send(END_US + HOUR_US, pane(early_us + HOUR_US), b"new")
    assert setting.check("panes").defects == {"published_unknown": 2}, "the next day counts it"
