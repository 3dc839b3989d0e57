"""Check what the own principal may do, before a client finds out by errors that it repeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from moderation.adapters.kafka.broker_errors import AUTHORIZATION
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.errors import ConfigurationError

_REQUEST_SECONDS = 10.0


def require_own_permissions(kafka: KafkaConnection, *, reads: Iterable[str], writes: Iterable[str], group: str) -> None:
    """Check that the own principal may read and write topics and join a group. What does not exist is left out.

    Brokers that do not answer, or do not report permissions, are not checked.

    Args:
        kafka: the connection.
        reads: full names of topics to read.
        writes: full names of topics to write.
        group: the consumer group.

    Raises:
        ConfigurationError: a permission is missing; the message names all of them.
    """
    client = AdminClient(kafka.librdkafka({"log_level": 2}))
    needed = {**dict.fromkeys(reads, AclOperation.READ), **dict.fromkeys(writes, AclOperation.WRITE)}
    topics = client.describe_topics(
        TopicCollection(list(needed)), include_authorized_operations=True, request_timeout=_REQUEST_SECONDS
    )
    groups = client.describe_consumer_groups(
        [group], include_authorized_operations=True, request_timeout=_REQUEST_SECONDS
    )
    missing = [*_missing("topic", topics, needed), *_missing("group", groups, {group: AclOperation.READ})]
    if missing:
        remedy = "Grant it: docs/kafka.md lists what each principal needs, and `moderation topics` grants it."
        raise ConfigurationError("the account in Kafka", f"it may not {', '.join(missing)}", remedy)


def _missing(kind: str, futures: Mapping[str, Future[Any]], needed: Mapping[str, AclOperation]) -> Iterator[str]:
    for name, future in futures.items():
        operation = needed[name]
        try:
            allowed = future.result().authorized_operations
        except KafkaException as error:
            # Any other error may pass, as while a coordinator is loaded; the requests that follow report it.
            if error.args[0].code() in AUTHORIZATION:
                yield f"{operation.name} {kind} {name}"
            continue
        if allowed and operation not in allowed and AclOperation.ALL not in allowed:
            yield f"{operation.name} {kind} {name}"
