"""Compare a topic on the brokers with what the project needs: which differences are accepted, and which are refused.

Topics may belong to others: what keeps more, or only costs something, is accepted. A setting with which the guarantees
would not hold is refused. docs/kafka.md lists both; nothing is altered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from moderation.errors import ConfigurationError

TIMESTAMP_TYPE, APPEND_TIME = "message.timestamp.type", "LogAppendTime"
_ALTER = "Alter the topic, or delete it if its records are not needed, and try again."


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """What a topic is created with, and what an existing one needs.

    Attributes:
        name: the topic's name, without a prefix.
        partitions: how many partitions it has; more are accepted.
        timestamp_type: ``LogAppendTime`` (the broker's clock) or ``CreateTime`` (the producer's, or the broker's).
        max_message_bytes: largest batch of records the broker accepts, in bytes; larger limits are accepted.
        retention_ms: how long records are kept, in milliseconds; longer times are accepted.
    """

    name: str
    partitions: int
    timestamp_type: str
    max_message_bytes: int
    retention_ms: int

    def configuration(self) -> dict[str, str]:
        """The settings by Kafka's names."""
        return {
            "cleanup.policy": "delete",
            "max.message.bytes": str(self.max_message_bytes),
            TIMESTAMP_TYPE: self.timestamp_type,
            "retention.ms": str(self.retention_ms),
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


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of a topic that is not as the project creates it.

    Attributes:
        setting: Kafka's name of it.
        actual: its value on the broker.
        wanted: the value that the project would create.
        remedy: what to do; empty if the difference is accepted.
    """

    setting: str
    actual: str
    wanted: str
    remedy: str = field(default="")

    def __str__(self) -> str:
        return f"{self.setting} is {self.actual}, not {self.wanted}"


def differences(wanted: TopicSettings, replication: int, actual: TopicDescription) -> list[Difference]:
    """Return how a topic differs from its settings, refused differences first.

    Args:
        wanted: the settings.
        replication: wanted replicas of each partition.
        actual: the topic on the brokers.
    """
    expected = wanted.configuration()
    counts = {
        "partitions": (actual.partitions, wanted.partitions),
        "replication factor": (actual.replication, replication),
    }
    compared = [_count_difference(name, has, needs) for name, (has, needs) in counts.items()]
    for name, is_safe in _SAFE.items():
        if name in _DEFAULTS and name not in actual.configuration:
            continue  # a provider that does not have the setting
        has, needs = actual.configuration.get(name, "absent"), expected.get(name) or _DEFAULTS[name]
        if has != needs:
            remedy = "" if is_safe(has, needs, actual) else _REMEDIES.get(name, _ALTER)
            compared.append(Difference(name, has, needs, remedy))
    return sorted(filter(None, compared), key=lambda each: not each.remedy)


def require_topic_settings(
    name: str, wanted: TopicSettings, replication: int, actual: TopicDescription
) -> list[Difference]:
    """Compare a topic with its settings.

    Args:
        name: full name of the topic.
        wanted: its settings.
        replication: wanted replicas of each partition.
        actual: the topic on the brokers.

    Returns:
        Accepted differences.

    Raises:
        ConfigurationError: a setting is unsafe; the message names the topic and the first such setting.
    """
    found = differences(wanted, replication, actual)
    if found and found[0].remedy:
        raise ConfigurationError(f"topic {name}", str(found[0]), found[0].remedy)
    return found


def _count_difference(name: str, has: int, needs: int) -> Difference | None:
    if has == needs:
        return None
    setting = "MODERATION_TOPIC_PARTITIONS" if name == "partitions" else "MODERATION_TOPIC_REPLICATION"
    verb = "Add partitions" if name == "partitions" else "Add replicas"
    remedy = f"{verb}, or set {setting} to {has} if that is enough, and try again." if has < needs else ""
    return Difference(name, str(has), str(needs), remedy)


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _keeps_all(has: str, _: str, __: TopicDescription) -> bool:
    # An empty policy deletes nothing.
    return has == ""


def _at_least(has: str, needs: str, _: TopicDescription) -> bool:
    return _is_number(has) and int(has) >= int(needs)


def _as_long(has: str, needs: str, _: TopicDescription) -> bool:
    return _is_number(has) and (int(has) < 0 or int(has) >= int(needs))


def _append_time(has: str, needs: str, _: TopicDescription) -> bool:
    return has == APPEND_TIME


def _reachable(has: str, _: str, actual: TopicDescription) -> bool:
    return not _is_number(has) or int(has) <= actual.replication


def _not_true(has: str, _: str, __: TopicDescription) -> bool:
    return has.lower() != "true"


def _any(_: str, __: str, ___: TopicDescription) -> bool:
    return True


_SAFE: dict[str, Callable[[str, str, TopicDescription], bool]] = {
    "cleanup.policy": _keeps_all,
    TIMESTAMP_TYPE: _append_time,
    "max.message.bytes": _at_least,
    "retention.ms": _as_long,
    "min.insync.replicas": _reachable,
    "unclean.leader.election.enable": _not_true,
    "retention.bytes": _any,
    "compression.type": _any,
}
"""Compared settings, and whether a difference is accepted."""
_DEFAULTS = {
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
    "retention.bytes": "-1",
    "compression.type": "producer",
}
"""Kafka's defaults of compared settings that the project does not set."""
_REMEDIES = {
    "retention.ms": "Keep records longer, or set MODERATION_TOPIC_RETENTION_HOURS if the archive always reads them "
    "within that time, and try again.",
    "min.insync.replicas": "Set it to at most the number of replicas: until then no record is accepted.",
    "unclean.leader.election.enable": "Set it to false: with it, brokers may lose acknowledged records.",
}
