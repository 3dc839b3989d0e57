"""Kafka topics: names, required settings, and creation.

An existing topic with an unsafe setting is refused, not altered: see :mod:`moderation.adapters.kafka.topic_rules`.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from moderation.adapters.kafka.access import require_accepted
from moderation.adapters.kafka.broker_errors import AUTHORIZATION, broker_error
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topic_rules import (
    APPEND_TIME,
    TIMESTAMP_TYPE,
    Difference,
    TopicDescription,
    TopicSettings,
    differences,
    require_topic_settings,
)
from moderation.errors import ConfigurationError, TopicRefused
from moderation.kafka_settings import KafkaSettings

RETENTION_MS = 7 * 24 * 3600 * 1000
RECORD_MAX_BYTES = 1024 * 1024
"""Largest value of a record of ``comments``."""
RECORD_BATCH_MAX_BYTES = RECORD_MAX_BYTES + 64 * 1024
"""Batch size that the broker must accept for it: the limit includes key, headers and the header of the batch."""

_CREATE_TIME = "CreateTime"
_REQUEST_SECONDS = 30.0
_FIRST_SECONDS = 10.0
"""Timeout of the first request: brokers that are away are reported after this time."""
_POLL_SECONDS = 0.05
_LOG_WARNINGS, _LOG_NOTHING = 4, 0


def _topic(name: str, timestamp_type: str = _CREATE_TIME, partitions: int = 4) -> TopicSettings:
    return TopicSettings(name, partitions, timestamp_type, RECORD_BATCH_MAX_BYTES, RETENTION_MS)


COMMENTS = _topic("comments", APPEND_TIME)
ACTIONS = _topic("actions", APPEND_TIME)
DECISIONS = _topic("decisions")
ALERTS = _topic("alerts")
PANES = _topic("panes")
RETRAIN_REQUESTS = _topic("retrain-requests", partitions=1)

TOPICS = (COMMENTS, ACTIONS, DECISIONS, ALERTS, PANES, RETRAIN_REQUESTS)


def with_partitions(topics: Iterable[TopicSettings], partitions: int) -> tuple[TopicSettings, ...]:
    """Return the topics with another number of partitions; topics with one partition keep it."""
    return tuple(replace(each, partitions=partitions) if each.partitions > 1 else each for each in topics)


def required_topics(settings: KafkaSettings) -> tuple[TopicSettings, ...]:
    """Return the topics with the partitions and the retention that the settings state."""
    retention_ms = settings.topic_retention_hours * 3_600_000
    wanted = with_partitions(TOPICS, settings.topic_partitions)
    return tuple(replace(each, retention_ms=retention_ms) for each in wanted)


def producer_settings(kafka: KafkaConnection, delivery_seconds: float) -> dict[str, Any]:
    """Settings of every confluent producer of this project: idempotent, acknowledged, one partitioner.

    Args:
        kafka: the connection.
        delivery_seconds: how long a record may wait for its acknowledgement before it counts as failed.
    """
    own = {
        "enable.idempotence": True,
        "acks": "all",
        # librdkafka's default is CRC32, which maps keys to other partitions than other producers.
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 20,
        "batch.size": 256 * 1024,
        "message.max.bytes": RECORD_BATCH_MAX_BYTES,
        "delivery.timeout.ms": round(delivery_seconds * 1_000),
        "log_level": _LOG_WARNINGS,
    }
    return {**kafka.librdkafka(), **own}


def ensure_topics(
    kafka: KafkaConnection,
    topics: Iterable[TopicSettings] = TOPICS,
    *,
    prefix: str = "",
    replication: int = 1,
    on_difference: Callable[[str, Difference], None] = lambda name, difference: None,
) -> tuple[str, ...]:
    """Create missing topics and check the settings of existing ones. Idempotent; safe to run concurrently.

    Args:
        kafka: the connection.
        topics: the required topics.
        prefix: prefix of every name, e.g. for tests.
        replication: replicas of each partition.
        on_difference: receives the full name of a topic and an accepted difference of it.

    Returns:
        The names of topics created by this call. On return, every partition of every topic has a leader.

    Raises:
        ConfigurationError: a topic has an unsafe setting, or the brokers do not accept the connection; the message
            names the setting.
        KafkaException: the broker cannot be reached or refuses.
    """
    require_accepted(kafka)
    # Without a log, librdkafka prints no line of its own; the error says why the brokers do not answer.
    causes: list[str] = []
    quiet = {"log_level": _LOG_NOTHING, "error_cb": lambda error: causes.append(error.str())}
    client = _client(kafka.with_settings(quiet))
    wanted = {prefix + topic.name: topic for topic in topics}
    try:
        existing = client.list_topics(timeout=_FIRST_SECONDS).topics
    except KafkaException as error:
        client.poll(0)
        cause = "; ".join(dict.fromkeys([error.args[0].str(), *causes[:1]]))
        raise KafkaException(KafkaError(error.args[0].code(), cause)) from error
    requests = [
        NewTopic(name, topic.partitions, replication, config=topic.configuration())
        for name, topic in wanted.items()
        if name not in existing
    ]
    created = []
    for name, future in (
        client.create_topics(requests, operation_timeout=_REQUEST_SECONDS) if requests else {}
    ).items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    descriptions = _describe(client, list(wanted))
    for name, topic in wanted.items():
        for difference in require_topic_settings(name, topic, replication, descriptions[name]):
            on_difference(name, difference)
    return tuple(created)


def describe_topic_ids(kafka: KafkaConnection, names: Iterable[str]) -> dict[str, str]:
    """Read Kafka's id of each topic; a re-created topic has a new id.

    Args:
        kafka: the connection.
        names: full topic names.

    Returns:
        The id of each name, as Kafka writes it (22 characters of URL-safe base64).

    Raises:
        ConfigurationError: a topic does not exist, or the principal may not describe it.
        KafkaException: the broker cannot be reached or refuses.
    """
    client = _client(kafka)  # must outlive the futures
    futures = client.describe_topics(TopicCollection(list(names)), request_timeout=_REQUEST_SECONDS)
    ids = {}
    for name, future in futures.items():
        try:
            ids[name] = str(future.result().topic_id)
        except KafkaException as error:
            if error.args[0].code() in AUTHORIZATION:
                raise broker_error(error, f"topic {name}", "") from error
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            raise ConfigurationError(f"topic {name}", "it does not exist", "Create it: `moderation topics`.") from error
    return ids


def missing_topics(
    kafka: KafkaConnection,
    names: Iterable[str],
    *,
    timeout_seconds: float = 5.0,
) -> list[str]:
    """Return the topics that do not exist, in the given order.

    Args:
        kafka: the connection.
        names: full topic names.
        timeout_seconds: timeout of the request.

    Raises:
        KafkaException: no broker answers.
    """
    # List all topics: a request for a single one may create it.
    existing = _client(kafka).list_topics(timeout=timeout_seconds).topics
    return [name for name in names if name not in existing]


def is_compacted(kafka: KafkaConnection, topic: str) -> bool:
    """Whether a topic is compacted, so that records between others may be deleted.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    return "compact" in _settings_of(_client(kafka), topic)["cleanup.policy"]


@dataclass(frozen=True, slots=True)
class Retention:
    """Retention of a topic.

    Attributes:
        ms: milliseconds after the append of a record; None without a limit.
        size_bytes: size of a partition; None without a limit.
    """

    ms: int | None
    size_bytes: int | None


def retention(kafka: KafkaConnection, topic: str) -> Retention:
    """Read the retention of a topic.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    settings = _settings_of(_client(kafka), topic)
    if "delete" not in settings["cleanup.policy"]:
        return Retention(None, None)
    ms, size_bytes = int(settings["retention.ms"]), int(settings["retention.bytes"])
    return Retention(None if ms < 0 else ms, None if size_bytes < 0 else size_bytes)


def require_broker_times(topic: str, client: AdminClient, timeout_seconds: float = _REQUEST_SECONDS) -> None:
    """Check that brokers set the timestamps of records (LogAppendTime).

    Args:
        topic: full name.
        client: sends the request.
        timeout_seconds: timeout of the request.

    Raises:
        TopicRefused: producers set the timestamps.
        KafkaException: the broker cannot be reached or refuses.
    """
    timestamp_type = _settings_of(client, topic, timeout_seconds)[TIMESTAMP_TYPE]
    if timestamp_type != APPEND_TIME:
        raise TopicRefused(
            f"topic {topic}",
            f"{TIMESTAMP_TYPE} is {timestamp_type}, so producers set the timestamps of its records",
            f"Set it back (`kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config "
            f"{TIMESTAMP_TYPE}={APPEND_TIME}`), then start again; see docs/speed-layer.md, Clocks.",
        )


def unsafe_differences(kafka: KafkaConnection, name: str, wanted: TopicSettings) -> list[Difference]:
    """Return the settings of an existing topic that are unsafe, whatever the number of its partitions and replicas.

    See :mod:`moderation.adapters.kafka.topic_rules`.

    Args:
        kafka: the connection.
        name: full name.
        wanted: its required settings.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    actual = _describe(_client(kafka), [name])[name]
    return [each for each in differences(replace(wanted, partitions=1), 1, actual) if each.remedy]


def topic_uuid(topic_id: str) -> UUID:
    """Convert a topic id from Kafka's text (16 bytes in URL-safe base64 without padding) to a UUID."""
    return UUID(bytes=base64.urlsafe_b64decode(topic_id + "=="))


def _client(kafka: KafkaConnection) -> AdminClient:
    return AdminClient(kafka.librdkafka({"log_level": _LOG_WARNINGS}))


def _settings_of(client: AdminClient, topic: str, timeout_seconds: float = _REQUEST_SECONDS) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    (future,) = client.describe_configs([resource], request_timeout=timeout_seconds).values()
    return {name: str(entry.value) for name, entry in future.result().items()}


def _describe(client: AdminClient, names: list[str]) -> dict[str, TopicDescription]:
    """Describe existing topics once every partition has a leader."""
    deadline = time.monotonic() + _REQUEST_SECONDS
    while True:
        topics = client.list_topics(timeout=_REQUEST_SECONDS).topics
        leaderless = [
            name
            for name in names
            if name not in topics or any(part.leader < 0 for part in topics[name].partitions.values())
        ]
        if not leaderless:
            break
        if time.monotonic() > deadline:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, f"no leader for {leaderless[0]}"))
        time.sleep(_POLL_SECONDS)
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    settings = {
        resource.name: {key: entry.value for key, entry in future.result().items()}
        for resource, future in client.describe_configs(resources, request_timeout=_REQUEST_SECONDS).items()
    }
    return {
        name: TopicDescription(len(topics[name].partitions), len(topics[name].partitions[0].replicas), settings[name])
        for name in names
    }
