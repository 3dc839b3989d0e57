"""What topics lost before it was archived: shown, or recorded by a person's word so that the archive goes on."""

from __future__ import annotations

import time

from moderation.adapters.lake.columns import ARCHIVED
from moderation.adapters.lake.files import Source
from moderation.adapters.source_log import opened
from moderation.adapters.sql.connecting import connected
from moderation.adapters.sql.manifest import Range, accept_gap, end_of, explained, uncovered
from moderation.settings import Settings, required


def find_gaps(settings: Settings, *, accept: bool, reason: str) -> list[tuple[Source, Range]]:
    """Find the offsets that neither lake nor topic has and nobody accepted yet, in order.

    Args:
        settings: where Kafka and the manifest are.
        accept: record them, all or none; no archiver can come between, since none gets past them.
        reason: kept with each.

    Raises:
        ConfigurationError: a topic, Kafka or the database is not there.
    """
    found: list[tuple[Source, Range]] = []
    with connected(required(settings.database_url, "database_url")) as connection:
        for name in ARCHIVED:
            with opened(settings.kafka_bootstrap, settings.topic_prefix + name) as log:
                for partition, (first, _) in log.ranges().items():
                    source = Source(log.topic, log.topic_id, partition)
                    end = end_of(connection, source)
                    if end is not None:
                        missing = uncovered((end, first), explained(connection, source, (end, first)))
                        found += [(source, gap) for gap in missing]
        if accept:
            with connection.transaction():
                for source, gap in found:
                    accept_gap(connection, source, gap, reason=reason, now_us=time.time_ns() // 1_000)
    return found
