"""The worker's first requests to the brokers: whether they are allowed, and whether the topic is safe."""

from __future__ import annotations

import logging
from uuid import UUID

from confluent_kafka import KafkaException

from moderation.adapters.kafka.access import require_accepted
from moderation.adapters.kafka.broker_errors import broker_error
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.own_permissions import require_own_permissions
from moderation.adapters.kafka.topics import (
    ALERTS,
    COMMENTS,
    DECISIONS,
    PANES,
    describe_topic_ids,
    required_topics,
    topic_uuid,
    unsafe_differences,
)
from moderation.settings import Settings

_log = logging.getLogger(__name__)


def identify_topic(settings: Settings) -> UUID:
    """Check that the brokers accept the connection, and return Kafka's id of topic ``comments``.

    Unsafe settings of the topic are logged only: records that the brokers delete are accounted for as holes or gaps, so
    a worker that ends would make it worse. Append times of producers are refused at each assignment.

    Args:
        settings: connection, prefix and required settings of the topic.

    Raises:
        ConfigurationError: the brokers do not accept the connection or refuse the request, the worker lacks a
            permission, or the topic does not exist.
        BrokerUnavailable: they do not answer.
    """
    kafka, topic = kafka_of(settings), settings.topic_prefix + COMMENTS.name
    published = [settings.topic_prefix + each.name for each in (DECISIONS, ALERTS, PANES)]
    require_accepted(kafka)
    try:
        require_own_permissions(kafka, reads=[topic], writes=published, group=settings.consumer_group)
        topic_id = topic_uuid(describe_topic_ids(kafka, [topic])[topic])
    except KafkaException as error:
        remedy = f"See {kafka.setting('bootstrap.servers')} and the brokers' logs."
        raise broker_error(error, f"topic {topic}", remedy) from error
    wanted = next(each for each in required_topics(settings) if each.name == COMMENTS.name)
    try:
        for difference in unsafe_differences(kafka, topic, wanted):
            _log.warning("topic %s: %s. %s", topic, difference, difference.remedy)
    except KafkaException as error:
        # A worker may lack the right to read settings.
        _log.warning("cannot read the settings of topic %s: %s", topic, error.args[0].str())
    return topic_id
