"""Kafka topics: names, required settings, and creation.

An existing topic with other settings is refused, not altered: a smaller size limit or another timestamp type would
silently break the guarantees.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from moderation.errors import ConfigurationError, TopicRefused

RETENTION_MS = 7 * 24 * 3600 * 1000
RECORD_MAX_BYTES = 1024 * 1024
"""Largest value of a record of ``comments``."""
RECORD_BATCH_MAX_BYTES = RECORD_MAX_BYTES + 64 * 1024
"""Batch size that the broker must accept for it: the limit includes key, headers and the header of the batch."""

_TIMESTAMP_TYPE = "message.timestamp.type"
_APPEND_TIME = "LogAppendTime"
_REQUEST_SECONDS = 30.0
_FIRST_SECONDS = 10.0
"""Timeout of the first request: brokers that are away are reported after this time."""
_POLL_SECONDS = 0.05
_LOG_WARNINGS, _LOG_NOTHING = 4, 0


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """Required settings of a topic.

    Attributes:
        name: the topic's name, without a prefix.
        partitions: how many partitions it has.
        timestamp_type: ``LogAppendTime`` (the broker's clock) or ``CreateTime`` (the producer's).
        max_message_bytes: largest batch of records the broker accepts, in bytes.
        retention_ms: how long records are kept, in milliseconds.
    """

    name: str
    partitions: int = 4
    timestamp_type: str = "CreateTime"
    max_message_bytes: int = RECORD_BATCH_MAX_BYTES
    retention_ms: int = RETENTION_MS

    def configuration(self) -> dict[str, str]:
        """The settings by Kafka's names."""
        return {
            "cleanup.policy": "delete",
            "max.message.bytes": str(self.max_message_bytes),
            _TIMESTAMP_TYPE: self.timestamp_type,
            "retention.ms": str(self.retention_ms),
        }


COMMENTS = TopicSettings("comments", timestamp_type=_APPEND_TIME)
ACTIONS = TopicSettings("actions", timestamp_type=_APPEND_TIME)
DECISIONS = TopicSettings("decisions")
ALERTS = TopicSettings("alerts")
PANES = TopicSettings("panes")
RETRAIN_REQUESTS = TopicSettings("retrain-requests", partitions=1)

TOPICS = (COMMENTS, ACTIONS, DECISIONS, ALERTS, PANES, RETRAIN_REQUESTS)


def with_partitions(topics: Iterable[TopicSettings], partitions: int) -> tuple[TopicSettings, ...]:
    """Return the topics with another number of partitions; topics with one partition keep it."""
    return tuple(replace(each, partitions=partitions) if each.partitions > 1 else each for each in topics)


def producer_settings(bootstrap: str, delivery_seconds: float) -> dict[str, str | int | bool]:
    """Settings of every confluent producer of this project: idempotent, acknowledged, one partitioner.

    Args:
        bootstrap: addresses of brokers, ``host:port`` separated by commas.
        delivery_seconds: how long a record may wait for its acknowledgement before it counts as failed.
    """
    return {
        "bootstrap.servers": bootstrap,
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


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """Settings of a topic on the broker.

    Attributes:
        partitions: how many partitions it has.
        replication: replicas of its first partition.
        configuration: settings by Kafka's names.
    """

    partitions: int
    replication: int
    configuration: Mapping[str, str]


def require_topic_settings(name: str, wanted: TopicSettings, replication: int, actual: TopicDescription) -> None:
    """Compare a topic with its required settings. More partitions than required are accepted.

    Raises:
        ConfigurationError: a setting differs; the message names the topic and the first such setting.
    """
    wanted = replace(wanted, partitions=max(wanted.partitions, actual.partitions))
    expected = {"partitions": str(wanted.partitions), "replication factor": str(replication)}
    present = {"partitions": str(actual.partitions), "replication factor": str(actual.replication)}
    for setting, value in (expected | wanted.configuration()).items():
        if (has := (present | dict(actual.configuration)).get(setting, "absent")) != value:
            raise ConfigurationError(
                f"topic {name}",
                f"{setting} is {has}, not {value}",
                "Alter the topic to match, or delete it if its records are not needed, and try again.",
            )


def ensure_topics(
    bootstrap: str,
    topics: Iterable[TopicSettings] = TOPICS,
    *,
    prefix: str = "",
    replication: int = 1,
    configuration: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Create missing topics and check the settings of existing ones. Idempotent; safe to run concurrently.

    Args:
        bootstrap: addresses of brokers, ``host:port`` separated by commas.
        topics: the required topics.
        prefix: prefix of every name, e.g. for tests.
        replication: replicas of each partition.
        configuration: further settings of the client, e.g. for authentication.

    Returns:
        The names of topics created by this call. On return, every partition of every topic has a leader.

    Raises:
        ConfigurationError: a topic exists with other settings; the message names topic and setting.
        KafkaException: the broker cannot be reached or refuses.
    """
    # Without a log, librdkafka prints no line of its own; the error says why the brokers do not answer.
    causes: list[str] = []
    quiet = {"log_level": _LOG_NOTHING, "error_cb": lambda error: causes.append(error.str()), **(configuration or {})}
    client = _client(bootstrap, quiet)
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
        require_topic_settings(name, topic, replication, descriptions[name])
    return tuple(created)


def describe_topic_ids(
    bootstrap: str, names: Iterable[str], *, configuration: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Read Kafka's id of each topic; a re-created topic has a new id.

    Args:
        bootstrap: addresses of brokers.
        names: full topic names.
        configuration: further settings of the client.

    Returns:
        The id of each name, as Kafka writes it (22 characters of URL-safe base64).

    Raises:
        ConfigurationError: a topic does not exist.
        KafkaException: the broker cannot be reached or refuses.
    """
    client = _client(bootstrap, configuration)  # must outlive the futures
    futures = client.describe_topics(TopicCollection(list(names)), request_timeout=_REQUEST_SECONDS)
    ids = {}
    for name, future in futures.items():
        try:
            ids[name] = str(future.result().topic_id)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            raise ConfigurationError(f"topic {name}", "it does not exist", "Create it: `moderation topics`.") from error
    return ids


def missing_topics(
    bootstrap: str,
    names: Iterable[str],
    *,
    timeout_seconds: float = 5.0,
    configuration: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return the topics that do not exist, in the given order.

    Args:
        bootstrap: addresses of brokers.
        names: full topic names.
        timeout_seconds: timeout of the request.
        configuration: further settings of the client.

    Raises:
        KafkaException: no broker answers.
    """
    # List all topics: a request for a single one may create it.
    existing = _client(bootstrap, configuration).list_topics(timeout=timeout_seconds).topics
    return [name for name in names if name not in existing]


def is_compacted(bootstrap: str, topic: str, *, configuration: Mapping[str, Any] | None = None) -> bool:
    """Whether a topic is compacted, so that records between others may be deleted.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    return "compact" in _settings_of(_client(bootstrap, configuration), topic)["cleanup.policy"]


@dataclass(frozen=True, slots=True)
class Retention:
    """Retention of a topic.

    Attributes:
        ms: milliseconds after the append of a record; None without a limit.
        size_bytes: size of a partition; None without a limit.
    """

    ms: int | None
    size_bytes: int | None


def retention(bootstrap: str, topic: str, *, configuration: Mapping[str, Any] | None = None) -> Retention:
    """Read the retention of a topic.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    settings = _settings_of(_client(bootstrap, configuration), topic)
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
    timestamp_type = _settings_of(client, topic, timeout_seconds)[_TIMESTAMP_TYPE]
    if timestamp_type != _APPEND_TIME:
        raise TopicRefused(
            f"topic {topic}",
            f"{_TIMESTAMP_TYPE} is {timestamp_type}, so producers set the timestamps of its records",
            f"Set it back (`kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config "
            f"{_TIMESTAMP_TYPE}={_APPEND_TIME}`), then start again; see docs/speed-layer.md, Clocks.",
        )


def topic_uuid(topic_id: str) -> UUID:
    """Convert a topic id from Kafka's text (16 bytes in URL-safe base64 without padding) to a UUID."""
    return UUID(bytes=base64.urlsafe_b64decode(topic_id + "=="))


def _client(bootstrap: str, configuration: Mapping[str, Any] | None) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": _LOG_WARNINGS, **(configuration or {})})


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
