"""A day is final only by evidence that every partition was read beyond its end."""

from __future__ import annotations

from uuid import UUID

import pytest

from batch.reconcile.finality import unread_partitions
from moderation.adapters.reconciliation.snapshot import Cut
from moderation.offsets import TopicPartition
from moderation.panes import LATENESS_US
from moderation.timestamps import DAY_US

END_US = 20_000 * DAY_US
READ_US = END_US + LATENESS_US + 1
OLD, NEW = UUID(int=1), UUID(int=2)


def partition(number: int, topic_id: UUID = NEW) -> TopicPartition:
    return TopicPartition("comments", topic_id, number)


def test_both_readers_of_every_partition_must_have_read_beyond_the_lateness() -> None:
    assert unread_partitions({partition(n): Cut(5, 5, READ_US, READ_US) for n in (0, 1)}, END_US) == []


@pytest.mark.parametrize(
    ("archive_us", "worker_us", "reasons"),
    [
        (READ_US, READ_US - 1, ["the worker has read topic comments partition 1 to its end at 2024-10-04 00:10:00"]),
        (READ_US - 1, READ_US, ["the archive has read topic comments partition 1 to its end at 2024-10-04 00:10:00"]),
        (READ_US, None, ["the worker has never read topic comments partition 1 to its end"]),
        (None, READ_US, ["the archive has never read topic comments partition 1 to its end"]),
        (END_US - 3 * 3_600_000_000, END_US - 3 * 3_600_000_000, ["the archive has read", "the worker has read"]),
    ],
)
def test_each_reader_that_stopped_is_named(archive_us: int | None, worker_us: int | None, reasons: list[str]) -> None:
    cuts = {partition(0): Cut(5, 5, READ_US, READ_US), partition(1): Cut(5, 5, archive_us, worker_us)}
    found = unread_partitions(cuts, END_US)
    assert len(found) == len(reasons)
    assert all(text.startswith(reason) for text, reason in zip(found, reasons, strict=True))


def test_the_log_of_a_deleted_topic_cannot_be_read_any_more() -> None:
    read = {partition(0): Cut(5, 5, READ_US, READ_US)}
    assert unread_partitions({partition(0, OLD): Cut(9, 9, END_US, END_US), **read}, END_US) == []
    unread = {partition(0): Cut(5, 0, READ_US, None)}
    [reason] = unread_partitions({partition(0, OLD): Cut(9, 9, END_US, END_US), **unread}, END_US)
    assert reason.startswith("the worker has never read")


def test_without_any_reading_a_day_is_not_final() -> None:
    assert unread_partitions({}, END_US) == ["neither archive nor worker has read the topic"]
