"""Archive topics into the lake: each offset once, in files of one contiguous range and one append day.

A run goes on where the manifest ends and stops where each log ended when it came by. A file exists for readers from the
moment of its row in the manifest, so a run may die at any instant: the next one begins at the same offset again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batch.archive.partition import ArchiveContext, ArchivePoint, PartitionArchiver
from batch.archive.report import ArchiveReport, PartitionReport, TopicReport
from batch.progress import OnProgress, no_progress
from batch.record_isolation import MOST_NAMED
from moderation.adapters.kafka.topic_reader import opened
from moderation.adapters.lake.file_boundaries import Limits
from moderation.adapters.lake.schema import ARCHIVED, columns_of
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.sql.connection import connected
from moderation.contracts import Rules
from moderation.errors import ModerationError, SourceRefused
from moderation.offsets import TopicPartition
from moderation.settings import Settings, required

_LIMITS = Limits()


def archive_topics(
    settings: Settings,
    *,
    topics: Sequence[str] = ARCHIVED,
    kafka: Mapping[str, Any] | None = None,
    upto: Mapping[str, Mapping[int, int]] | None = None,
    limits: Limits = _LIMITS,
    on_progress: OnProgress = no_progress,
    fault_point: Callable[[ArchivePoint], None] = lambda point: None,
) -> ArchiveReport:
    """Archive what topics have and the lake does not. Safe to repeat, to kill, and to run twice at once.

    Args:
        settings: where Kafka, the manifest's database and the lake are.
        topics: names without the prefix, ``comments`` and ``actions``.
        kafka: settings of a connection by librdkafka's names, e.g. of an Airflow connection; those of ``settings`` if
            None. No group is joined and no offset committed.
        upto: for each topic and partition an offset to stop before; elsewhere the end of the log is the end.
        limits: how large files become.
        on_progress: receives one line at each step.
        fault_point: called at each named point; tests kill the process there.

    Returns:
        What was done. A partition that another archiver works on is left to it, and the report says so.

    Raises:
        SourceRefused: partitions that retention overtook, or that lost records, or topics whose times producers set;
            the others are archived first.
        ConfigurationError: a topic, Kafka, the database or the lake's address is not there.
        LedgerUnsafe: the database has no manifest.
    """
    begun = time.monotonic()
    reports: list[TopicReport] = []
    refused: list[ModerationError] = []
    bootstrap = str((kafka or {}).get("bootstrap.servers", settings.kafka_bootstrap))
    with connected(required(settings.database_url, "database_url"), name="moderation archive") as connection:
        context = ArchiveContext(LakeStore(settings.lake_url), connection, limits, on_progress, fault_point)
        for name in topics:
            columns, topic = columns_of(name, Rules.since(settings.earliest_event_date)), settings.topic_prefix + name
            with opened(bootstrap, topic, kafka) as log:
                report = TopicReport(topic, log.topic_id)
                reports.append(report)
                try:
                    log.require_append_time()
                except SourceRefused as error:
                    on_progress(str(error))
                    refused.append(error)
                    continue
                retention_ms = log.retention_ms()
                for partition in log.ranges():
                    source = TopicPartition(topic, log.topic_id, partition)
                    archiver = PartitionArchiver(context, log, source, columns, retention_ms)
                    try:
                        done = archiver.run((upto or {}).get(name, {}).get(partition))
                    except SourceRefused as error:
                        on_progress(f"{source}: {error.cause}")
                        refused.append(error)
                        continue
                    report.partitions.append(done)
                    _report_partition(on_progress, source, done)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        causes = "; ".join(f"{error.thing}: {error.cause}" for error in refused)
        raise SourceRefused(f"{len(refused)} topics or partitions", causes, refused[0].remedy)
    return ArchiveReport(reports, time.monotonic() - begun)


def _report_partition(on_progress: OnProgress, source: TopicPartition, done: PartitionReport) -> None:
    added = f"{done.rows:,} records in {done.files} files, the lake holds it up to {done.next_offset}"
    left = "" if done.seconds_left is None else f"; retention left {done.seconds_left / 3_600:,.1f} h for the oldest"
    for failure in done.unparsed[:MOST_NAMED]:
        on_progress(f"{source}: offset {failure.offset} cannot be parsed ({failure.error}); its bytes are archived")
    if done.dead_letters:
        on_progress(
            f"{source}: {done.dead_letters:,} actions cannot be read; `moderation dead-letters list --topic actions`"
        )
    on_progress(
        f"{source}: {done.outcome.value.replace('_', ' ')}, {added}{left}{f'; {done.note}' if done.note else ''}"
    )
