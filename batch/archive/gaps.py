"""Find offset ranges that were lost before they were archived; record them so that the archive continues."""

from __future__ import annotations

from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topic_reader import open_topic
from moderation.adapters.lake.manifest import accept_gap, find_unarchived, gaps_and_holes, read_archived_end
from moderation.adapters.lake.schema import ARCHIVED
from moderation.adapters.sql.connection import connected
from moderation.offsets import Range, TopicPartition, uncovered
from moderation.settings import Settings, required
from moderation.timestamps import now_us


def find_gaps(settings: Settings, *, accept: bool, reason: str) -> list[tuple[TopicPartition, Range]]:
    """Find the offset ranges that neither the lake nor the topic has and that no operator accepted yet, in order.

    Those of a re-created topic's former id are the decided ones; what it had beyond is not known.

    Args:
        settings: where Kafka and the manifest are.
        accept: record them, all or none. No archiver can interfere, because none continues past an unrecorded gap.
        reason: stored with each gap.

    Raises:
        Unavailable: Kafka or the database does not answer.
        ConfigurationError: a topic does not exist, or a server refuses.
    """
    gaps: list[tuple[TopicPartition, Range]] = []
    with connected(required(settings.database_url, "database_url")) as connection:
        for name in ARCHIVED:
            with open_topic(kafka_of(settings), settings.topic_prefix + name) as log:
                for partition, (first, _) in log.ranges().items():
                    topic_partition = TopicPartition(log.topic, log.topic_id, partition)
                    end = read_archived_end(connection, topic_partition)
                    if end is not None:
                        missing = uncovered((end, first), gaps_and_holes(connection, topic_partition, (end, first)))
                        gaps += [(topic_partition, gap) for gap in missing]
                gaps += find_unarchived(connection, log.topic, log.topic_id)
        if accept:
            with connection.transaction():
                for topic_partition, gap in gaps:
                    accept_gap(connection, topic_partition, gap, reason=reason, now_us=now_us())
    return gaps
