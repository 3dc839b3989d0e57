"""Archive topics into the lake: each offset once, in files of one contiguous range and one append day.

A run starts at the end of the manifest and stops at the end that each log had when the run reached it. Readers see a
file only after its row is in the manifest. So a run may be killed at any time: the next run starts at the same offset.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batch.archive.partition import ArchiveContext, ArchivePoint, PartitionArchiver
from batch.archive.report import ArchiveReport, PartitionReport, TopicReport
from batch.progress import OnProgress, no_progress
from batch.record_isolation import MOST_NAMED
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topic_reader import open_topic
from moderation.adapters.lake.file_boundaries import FileLimits
from moderation.adapters.lake.ownership import require_ownership
from moderation.adapters.lake.schema import ARCHIVED, columns_of
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.sql.connection import connected
from moderation.contracts import Rules
from moderation.errors import ModerationError, TopicRefused
from moderation.offsets import TopicPartition
from moderation.settings import Settings, required

_LIMITS = FileLimits()


def archive_topics(
    settings: Settings,
    *,
    topics: Sequence[str] = ARCHIVED,
    kafka: Mapping[str, Any] | None = None,
    end_offsets: Mapping[str, Mapping[int, int]] | None = None,
    limits: FileLimits = _LIMITS,
    on_progress: OnProgress = no_progress,
    fault_point: Callable[[ArchivePoint], None] = lambda point: None,
) -> ArchiveReport:
    """Archive the offsets of topics that the lake does not have. Safe to repeat, to kill, and to run concurrently.

    Args:
        settings: addresses of Kafka, the manifest's database and the lake.
        topics: names without the prefix, ``comments`` and ``actions``.
        kafka: settings of a connection by librdkafka's names, e.g. of an Airflow connection; those of ``settings`` if
            None. The archive joins no group and commits no offset.
        end_offsets: for each topic and partition the offset to stop before; by default the end of the log.
        limits: sizes at which files end.
        on_progress: receives one line at each step.
        fault_point: called at each named point; tests kill the process there.

    Returns:
        The report. A partition on which another archiver is active is left to it; the report contains that.

    Raises:
        TopicRefused: retention deleted records before they were archived, or producers set the record times of a
            topic. All other partitions are archived first.
        Unavailable: Kafka, the database or the storage of the lake does not answer.
        ConfigurationError: a topic does not exist, or a server refuses.
        LakeRefused: the lake belongs to another database.
        LedgerUnsafe: the database has no manifest.
    """
    begun = time.monotonic()
    brokers = kafka_of(settings, kafka)
    reports: list[TopicReport] = []
    refused: list[ModerationError] = []
    with connected(required(settings.database_url, "database_url"), name="moderation archive") as connection:
        context = ArchiveContext(LakeStore(settings.lake_url), connection, limits, on_progress, fault_point)
        require_ownership(context.store, connection)
        for name in topics:
            columns, topic = columns_of(name, Rules.since(settings.earliest_event_date)), settings.topic_prefix + name
            with open_topic(brokers, topic) as log:
                report = TopicReport(topic, log.topic_id)
                reports.append(report)
                try:
                    log.require_append_time()
                except TopicRefused as error:
                    on_progress(str(error))
                    refused.append(error)
                    continue
                retention_ms = log.retention_ms()
                for partition in log.ranges():
                    topic_partition = TopicPartition(topic, log.topic_id, partition)
                    archiver = PartitionArchiver(context, log, topic_partition, columns, retention_ms)
                    try:
                        done = archiver.run((end_offsets or {}).get(name, {}).get(partition))
                    except TopicRefused as error:
                        on_progress(f"{topic_partition}: {error.cause}")
                        refused.append(error)
                        continue
                    report.partitions.append(done)
                    _report_partition(on_progress, topic_partition, done)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        causes = "; ".join(f"{error.thing}: {error.cause}" for error in refused)
        raise TopicRefused(f"{len(refused)} topics or partitions", causes, refused[0].remedy)
    return ArchiveReport(reports, time.monotonic() - begun)


def _report_partition(on_progress: OnProgress, topic_partition: TopicPartition, report: PartitionReport) -> None:
    name = str(topic_partition)
    for failure in report.unparsed[:MOST_NAMED]:
        on_progress(f"{name}: offset {failure.offset} cannot be parsed ({failure.error}); its bytes are archived")
    if report.dead_letters:
        listing = "`moderation dead-letters list --topic actions`"
        on_progress(f"{name}: {report.dead_letters:,} actions cannot be read; {listing}")
    added = f"{report.rows:,} records in {report.files} files, archived up to offset {report.next_offset}"
    seconds_left = report.seconds_left
    left = "" if seconds_left is None else f"; retention left {seconds_left / 3_600:,.1f} h for the oldest"
    note = f"; {report.note}" if report.note else ""
    on_progress(f"{name}: {report.outcome.value.replace('_', ' ')}, {added}{left}{note}")
