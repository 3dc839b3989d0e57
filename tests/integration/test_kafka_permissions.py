"""Permissions of principals on a real broker: what each may do, and that everything else is refused."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from local.stack.commands import StackInfo
from local.stack.wait import wait_until
from moderation.adapters.kafka.acls import apply_permissions, binding_of, read_permissions
from moderation.adapters.kafka.broker_errors import AUTHORIZATION
from moderation.adapters.kafka.connection import KafkaConnection, kafka_of
from moderation.adapters.kafka.permissions import Permission, needed_permissions
from moderation.adapters.kafka.topics import TOPICS, ensure_topics
from moderation.errors import ConfigurationError
from moderation.settings import Settings
from tests.support.secure_kafka import ROLES, SecureKafka, grant, revoke

PRINCIPALS: dict[str, Any] = {f"kafka_{role}_principal": f"User:only-{role}" for role in ROLES}
NAMES = [topic.name for topic in TOPICS]
SOURCES, PUBLISHED = ("comments", "actions"), ("decisions", "alerts", "panes")
SECONDS = 20.0
NOT_YET = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
"""Of a broker that does not know the offsets of groups yet."""


@dataclass(frozen=True)
class Client:
    """What a principal tries on the topics of an installation.

    Attributes:
        kafka: its connection.
        prefix: of the topics and groups.
    """

    kafka: KafkaConnection
    prefix: str

    @cached_property
    def admin(self) -> AdminClient:
        """One for all acts: it must outlive its futures."""
        return AdminClient(self.kafka.librdkafka({"log_level": 0}))

    def write(self, topic: str) -> None:
        refusals: list[KafkaError] = []
        own = {"log_level": 0, "enable.idempotence": False, "delivery.timeout.ms": round(SECONDS * 1_000)}
        producer = Producer(self.kafka.librdkafka(own))

        def note(error: KafkaError | None, _: object) -> None:
            if error is not None:
                refusals.append(error)

        producer.produce(self.prefix + topic, b"x", on_delivery=note)
        assert producer.flush(SECONDS + 1) == 0
        if refusals:
            raise KafkaException(refusals[0])

    def consumer(self, group: str) -> Consumer:
        own = {"log_level": 0, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        return Consumer(self.kafka.librdkafka(own))

    def describe_partitions(self, topic: str) -> None:
        """Raise the refusal that librdkafka hides from clients which may not even describe a topic."""
        described = self.admin.list_topics(self.prefix + topic, timeout=SECONDS).topics[self.prefix + topic]
        if described.error is not None:
            raise KafkaException(described.error)

    def read(self, topic: str) -> None:
        self.describe_partitions(topic)
        consumer = self.consumer("of no importance")
        try:
            consumer.assign([TopicPartition(self.prefix + topic, 0, 0)])
            raise_error(consumer, ignored=KafkaError.GROUP_AUTHORIZATION_FAILED)  # it looks for its group, too
        finally:
            consumer.close()

    def join(self, group: str, topic: str) -> None:
        consumer = self.consumer(group)
        try:
            consumer.subscribe([self.prefix + topic])
            raise_error(consumer)
        finally:
            consumer.close()

    def commit(self, group: str, topic: str) -> None:
        offsets = ConsumerGroupTopicPartitions(group, [TopicPartition(self.prefix + topic, 0, 0)])
        (future,) = self.admin.alter_consumer_group_offsets([offsets]).values()
        for each in future.result(SECONDS).topic_partitions:
            if each.error is not None:
                raise KafkaException(each.error)

    def delete_group(self, group: str) -> None:
        (future,) = self.admin.delete_consumer_groups([group]).values()
        future.result(SECONDS)

    def create(self, topic: str) -> None:
        (future,) = self.admin.create_topics([NewTopic(self.prefix + topic, 1, 1)]).values()
        future.result(SECONDS)

    def delete(self, topic: str) -> None:
        (future,) = self.admin.delete_topics([self.prefix + topic]).values()
        future.result(SECONDS)

    def add_partitions(self, topic: str) -> None:
        (future,) = self.admin.create_partitions([NewPartitions(self.prefix + topic, 40)]).values()
        future.result(SECONDS)

    def delete_records(self, topic: str) -> None:
        self.describe_partitions(topic)
        (future,) = self.admin.delete_records([TopicPartition(self.prefix + topic, 0, 1)]).values()
        future.result(SECONDS)

    def alter(self, topic: str) -> None:
        entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self.prefix + topic, incremental_configs=[entry])
        (future,) = self.admin.incremental_alter_configs([resource]).values()
        future.result(SECONDS)

    def describe(self, topic: str) -> None:
        (future,) = self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, self.prefix + topic)]).values()
        future.result(SECONDS)

    def allow_itself(self, principal: str) -> None:
        (future,) = self.admin.create_acls([binding_of(Permission(principal, "ALL", "TOPIC", "*"))]).values()
        future.result(SECONDS)

    def list_permissions(self) -> None:
        admin = self.admin
        try:
            read_permissions(admin, self.kafka)
        except ConfigurationError as error:
            raise error.__cause__ or error from None

    def change_password(self, user: str) -> None:
        change = UserScramCredentialUpsertion(user, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096), b"mine")
        (future,) = self.admin.alter_user_scram_credentials([change]).values()
        future.result(SECONDS)


def raise_error(consumer: Consumer, ignored: int | None = None) -> None:
    """Wait for a record, or raise the error that comes instead."""
    until = time.monotonic() + SECONDS
    while (message := consumer.poll(1.0)) is None or message.error() is not None:
        assert time.monotonic() < until, "neither a record nor an error"
        if message is not None and (error := message.error()) is not None and error.code() != ignored:
            raise KafkaException(error)


Act = tuple[str, Callable[[Client, str], None], set[str]]
"""Name, what is tried (with the role), and the roles that may do it."""


def _by_topic(sources: set[str], published: set[str], requests: set[str]) -> dict[str, set[str]]:
    return {name: sources if name in SOURCES else published if name in PUBLISHED else requests for name in NAMES}


def acts(group: str, readers: str) -> list[Act]:
    may_write = _by_topic({"source", "operator"}, {"worker", "operator"}, {"operator"})
    may_read = _by_topic({"worker", "batch", "operator"}, {"batch", "operator", "reader"}, {"batch", "operator"})
    may_describe = _by_topic({"worker", "batch", "operator"}, {"batch", "operator"}, {"operator"})

    def on(name: str, act: Callable[[Client, str], None], topic: str, roles: set[str]) -> Act:
        return f"{name} {topic}", lambda client, _: act(client, topic), roles

    return [
        *(on("write", Client.write, each, may_write[each]) for each in NAMES),
        *(on("read", Client.read, each, may_read[each]) for each in NAMES),
        *(on("read settings of", Client.describe, each, may_describe[each]) for each in NAMES),
        *(on("delete", Client.delete, each, set()) for each in NAMES),
        *(on("alter", Client.alter, each, set()) for each in NAMES),
        on("add partitions to", Client.add_partitions, "comments", set()),
        on("delete records of", Client.delete_records, "comments", set()),
        on("delete records of", Client.delete_records, "decisions", set()),
        on("create", Client.create, "another", set()),
        ("join the workers' group", lambda client, _: client.join(group, "comments"), {"worker"}),
        ("move the offsets of the workers", lambda client, _: client.commit(group, "comments"), {"worker"}),
        ("delete the workers' group", lambda client, _: client.delete_group(group), set()),
        ("join a group of readers", lambda client, _: client.join(readers, "decisions"), {"reader"}),
        ("join the group of the archive", lambda client, _: client.join("moderation-archive", "actions"), {"batch"}),
        ("allow itself everything", lambda client, role: client.allow_itself(f"User:only-{role}"), set()),
        ("list the permissions", lambda client, _: client.list_permissions(), {"operator"}),
        ("change the password of the operator", lambda client, _: client.change_password("only-operator"), set()),
    ]


def refused(act: Callable[[Client, str], None], client: Client, role: str) -> bool:
    """Whether the broker refuses an act for lack of a permission; other errors fail the test."""
    try:
        act(client, role)
    except KafkaException as error:
        if error.args[0].code() in AUTHORIZATION:
            return True
        raise
    return False


def committed(owner: Client, group: str) -> bool:
    """Commit an offset of a group; return whether that worked, which it does once the broker has made its own topic."""
    try:
        owner.commit(group, "comments")
    except KafkaException as error:
        if error.args[0].code() not in NOT_YET:
            raise
        return False
    return True


@pytest.fixture(scope="module")
def installation(secure_broker: SecureKafka) -> Iterator[Settings]:
    """Topics of an installation with a record each, and the permissions of its principals."""
    name = f"acts-{uuid.uuid4().hex[:8]}-"
    access: dict[str, Any] = {"kafka_bootstrap": secure_broker.address("INTERNAL")}
    settings = Settings(**access, topic_prefix=name, consumer_group=f"{name}workers", **PRINCIPALS)
    ensure_topics(secure_broker.admin, prefix=name)
    apply_permissions(settings)
    owner = Client(secure_broker.admin, name)
    for topic in NAMES:
        for partition in range(4 if topic != "retrain-requests" else 1):
            producer = Producer(secure_broker.admin.librdkafka())
            producer.produce(name + topic, b"x", partition=partition)
            assert producer.flush(SECONDS) == 0
    wait_until(lambda: committed(owner, settings.consumer_group), seconds=60, description="a committed offset")
    yield settings
    revoke(secure_broker, needed_permissions(settings))


@pytest.mark.budget(120)
@pytest.mark.parametrize("role", ROLES)
def test_a_principal_may_do_what_its_role_needs_and_nothing_else(
    role: str, secure_broker: SecureKafka, installation: Settings
) -> None:
    client = Client(kafka_of(Settings(**secure_broker.scram(f"only-{role}"))), installation.topic_prefix)
    table = acts(installation.consumer_group, f"{installation.topic_prefix}reader-dashboard")
    found = {name: refused(act, client, role) for name, act, _ in table}
    assert found == {name: role not in roles for name, _, roles in table}
    assert sum(found.values()) >= 15


def test_what_is_missing_is_named_and_only_a_super_user_may_grant_it(
    secure_broker: SecureKafka, installation: Settings
) -> None:
    operator = installation.model_copy(update=secure_broker.scram("only-operator"))
    missing = Permission("User:only-worker", "READ", "GROUP", installation.consumer_group)
    revoke(secure_broker, [missing])
    with pytest.raises(ConfigurationError, match=f"1 are missing and cannot be granted: {missing}") as lacking:
        apply_permissions(operator)
    assert "Alter" in lacking.value.remedy
    assert apply_permissions(installation) == (missing,)
    assert apply_permissions(operator) == ()


@pytest.mark.parametrize(
    "entry",
    [
        lambda prefix: Permission("User:only-worker", "ALL", "TOPIC", prefix + "comments"),
        lambda prefix: Permission("User:only-source", "READ", "TOPIC", "*"),
        lambda prefix: Permission("User:*", "READ", "TOPIC", prefix, "PREFIXED"),
        lambda prefix: Permission("User:only-reader", "ALTER", "CLUSTER", "kafka-cluster"),
    ],
    ids=["every operation", "every topic", "everyone", "the cluster"],
)
def test_permissions_that_are_too_broad_are_refused_by_name(
    entry: Callable[[str], Permission], secure_broker: SecureKafka, installation: Settings
) -> None:
    broad = entry(installation.topic_prefix)
    grant(secure_broker, [broad])
    try:
        with pytest.raises(ConfigurationError, match="more is allowed than needed") as refusal:
            apply_permissions(installation)
    finally:
        revoke(secure_broker, [broad])
    assert str(broad) in refusal.value.cause
    assert apply_permissions(installation) == ()


def test_entries_that_deny_what_is_needed_are_refused_by_name(
    secure_broker: SecureKafka, installation: Settings
) -> None:
    denial = Permission("User:only-worker", "READ", "TOPIC", f"{installation.topic_prefix}comments", allows=False)
    grant(secure_broker, [denial])
    try:
        with pytest.raises(ConfigurationError, match="entries deny what is needed") as refusal:
            apply_permissions(installation)
    finally:
        revoke(secure_broker, [denial])
    assert str(denial) in refusal.value.cause


def test_brokers_without_an_authorizer_are_refused(stack: StackInfo) -> None:
    settings = Settings(kafka_bootstrap=stack.kafka_bootstrap, kafka_worker_principal="User:worker")
    with pytest.raises(ConfigurationError, match="the brokers have no authorizer"):
        apply_permissions(settings)
