"""What topics lost before it was archived: shown, or recorded by a person's word so that the archive goes on."""

from __future__ import annotations

from moderation.adapters.kafka.topic_reader import open_topic
from moderation.adapters.lake.manifest import accept_gap, gaps_and_holes, read_archived_end
from moderation.adapters.lake.schema import ARCHIVED
from moderation.adapters.sql.connection import connected
from moderation.offsets import Range, TopicPartition, uncovered
from moderation.settings import Settings, required
from moderation.timestamps import now_us


def find_gaps(settings: Settings, *, accept: bool, reason: str) -> list[tuple[TopicPartition, Range]]:
    """Find the offsets that neither lake nor topic has and nobody accepted yet, in order.

    Args:
        settings: where Kafka and the manifest are.
        accept: record them, all or none; no archiver can come between, since none gets past them.
        reason: kept with each.

    Raises:
        ConfigurationError: a topic, Kafka or the database is not there.
    """
    found: list[tuple[TopicPartition, Range]] = []
    with connected(required(settings.database_url, "database_url")) as connection:
        for name in ARCHIVED:
            with open_topic(settings.kafka_bootstrap, settings.topic_prefix + name) as log:
                for partition, (first, _) in log.ranges().items():
                    source = TopicPartition(log.topic, log.topic_id, partition)
                    end = read_archived_end(connection, source)
                    if end is not None:
                        missing = uncovered((end, first), gaps_and_holes(connection, source, (end, first)))
                        found += [(source, gap) for gap in missing]
        if accept:
            with connection.transaction():
                for source, gap in found:
                    accept_gap(connection, source, gap, reason=reason, now_us=now_us())
    return found
