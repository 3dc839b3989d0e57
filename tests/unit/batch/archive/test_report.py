"""When an archive run counts as one that did nothing."""

from __future__ import annotations

from uuid import UUID

from batch.archive.report import ArchiveReport, PartitionOutcome, PartitionReport, TopicReport

HOLDER = "moderation archive (backend 7) is at work"


def report(*partitions: PartitionReport) -> ArchiveReport:
    return ArchiveReport([TopicReport("comments", UUID(int=0), list(partitions))], 0.1)


def locked(partition: int) -> PartitionReport:
    return PartitionReport(partition, 5, 5, PartitionOutcome.LEFT_TO_OTHER, note=HOLDER)


def test_an_archive_that_is_locked_out_is_skipped_and_names_the_holder() -> None:
    reason = f"another archiver holds comments, partition 0, 1: {HOLDER}"
    found = report(locked(0), locked(1), PartitionReport(2, 9, 9))
    assert found.skipped == found.fields()["skipped"] == reason


def test_an_archive_that_added_files_or_found_nothing_new_is_not_skipped() -> None:
    added = PartitionReport(1, 0, 9, PartitionOutcome.ARCHIVED, files=1, rows=9)
    assert report(locked(0), added).skipped is None
    assert report(locked(0), added).topics[0].locked_out is not None
    assert report(PartitionReport(0, 9, 9)).skipped is None
    assert report(PartitionReport(0, 9, 9)).topics[0].locked_out is None
