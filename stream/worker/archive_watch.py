"""Show how close retention is to unarchived records. Workers measure it, because the batch layer may be down."""

from __future__ import annotations

import asyncio
import logging

from moderation.adapters import error_origin
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import ACTIONS, COMMENTS
from moderation.adapters.lake.archive_delay import ArchiveDelay, archive_delays
from moderation.adapters.sql.connection import connected
from moderation.settings import Settings, required
from moderation.timestamps import now_us
from stream.worker import metrics

_log = logging.getLogger(__name__)


async def show_archive_delays(settings: Settings) -> None:
    """Set the metric of each partition; log an error instead of raising it."""
    try:
        delays = await asyncio.get_running_loop().run_in_executor(None, _ask, settings)
    except Exception as error:
        _log.warning("cannot compare the topics with the archive: %s", error_origin.loggable_text(error))
        return
    current_us = now_us()
    metrics.ARCHIVE_RETENTION_USED.clear()
    for delay in delays:
        labels = (delay.topic_partition.topic, str(delay.topic_partition.partition))
        metrics.ARCHIVE_RETENTION_USED.labels(*labels).set(delay.used_ratio(current_us))


def _ask(settings: Settings) -> list[ArchiveDelay]:
    topics = [settings.topic_prefix + topic.name for topic in (COMMENTS, ACTIONS)]
    with connected(required(settings.database_url, "database_url"), name="moderation worker") as connection:
        return archive_delays(kafka_of(settings), connection, topics)
