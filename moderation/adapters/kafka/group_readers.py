"""Find partitions of a topic that no member of a consumer group reads, over a separate connection."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from moderation.adapters.kafka.connection import KafkaConnection

_REQUEST_SECONDS = 2.0
_log = logging.getLogger(__name__)


class GroupReaders:
    """Compares the partitions of a topic with the assignments of a consumer group.

    A member without partitions is healthy if other members read all of them, as with more members than partitions.

    Args:
        kafka: the connection.
        topic: full name.
        group: id of the consumer group.
    """

    def __init__(self, kafka: KafkaConnection, topic: str, group: str) -> None:
        self._kafka = kafka
        self._client: AdminClient | None = None
        self._topic = topic
        self._group = group
        self._has_failed = False

    def unread(self) -> frozenset[int] | None:
        """Return partitions that no member reads; None if no broker answers within 2 s, or the topic does not exist.

        During a rebalance the broker reports no assignments, so all partitions count as unread.
        """
        if self._client is None:
            self._client = AdminClient(self._kafka.librdkafka({"log_level": 2}))
        topics = self._client.describe_topics(TopicCollection([self._topic]), request_timeout=_REQUEST_SECONDS)
        groups = self._client.describe_consumer_groups([self._group], request_timeout=_REQUEST_SECONDS)
        try:
            partitions = frozenset(int(each.id) for each in topics[self._topic].result().partitions)
            try:
                members = groups[self._group].result().members
            except KafkaException as error:
                if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                    raise
                members = []
        except KafkaException as error:
            if not self._has_failed:
                _log.warning("cannot read who consumes topic %s in group %s: %s", self._topic, self._group, error)
            self._has_failed = True
            self._client = None  # see LogEnds: after a restart of the broker a client may stay wrong for minutes
            return None
        self._has_failed = False
        read = {
            each.partition
            for member in members
            for each in member.assignment.topic_partitions
            if each.topic == self._topic
        }
        return partitions - read
