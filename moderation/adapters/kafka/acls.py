"""Apply and check the permissions of principals on the brokers."""

from __future__ import annotations

import time
from typing import Any, NoReturn

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from moderation.adapters.kafka.broker_errors import broker_error
from moderation.adapters.kafka.connection import KafkaConnection, kafka_of
from moderation.adapters.kafka.permissions import Permission, compare_permissions, needed_permissions
from moderation.errors import ConfigurationError
from moderation.settings import Settings

_REQUEST_SECONDS = 30.0
_APPLIED_SECONDS = 10.0
_POLL_SECONDS = 0.05
_MOST_NAMED = 5
_RESOURCES = {"TOPIC": ResourceType.TOPIC, "GROUP": ResourceType.GROUP, "CLUSTER": ResourceType.BROKER}
_THING = "the permissions on the brokers"


def apply_permissions(settings: Settings) -> tuple[Permission, ...]:
    """Grant what the principals that the settings name lack, and check everything. Nothing is revoked.

    Args:
        settings: connection, names of topics and groups, principals.

    Returns:
        What was granted.

    Raises:
        ConfigurationError: permissions are too broad or denied, may not be read or granted, or brokers have none; the
            message names them.
        BrokerUnavailable: no broker answers.
    """
    needed = needed_permissions(settings)
    if not needed:
        return ()
    kafka = kafka_of(settings)
    client = AdminClient(kafka.librdkafka({"log_level": 2}))
    report = compare_permissions(needed, read_permissions(client, kafka))
    if report.denied:
        remedy = "Delete these entries with kafka-acls.sh, and try again."
        raise ConfigurationError(_THING, f"entries deny what is needed: {_list(report.denied)}", remedy)
    _grant(client, kafka, report.missing)
    if report.too_broad:
        remedy = "Delete these entries with kafka-acls.sh, or name another principal, and try again."
        raise ConfigurationError(_THING, f"more is allowed than needed: {_list(report.too_broad)}", remedy)
    return report.missing


def read_permissions(client: AdminClient, kafka: KafkaConnection) -> list[Permission]:
    """Read the brokers' whole access control list.

    Args:
        client: sends the request.
        kafka: its connection, for messages.

    Raises:
        ConfigurationError: the client may not read it, or the brokers have none.
        BrokerUnavailable: no broker answers.
    """
    unnamed: Any = None  # a filter without a name; the stubs do not know that it is allowed
    everything = AclBindingFilter(
        ResourceType.ANY, unnamed, ResourcePatternType.ANY, unnamed, unnamed, AclOperation.ANY, AclPermissionType.ANY
    )
    try:
        bindings = client.describe_acls(everything, request_timeout=_REQUEST_SECONDS).result()
        if not bindings:
            _require_may_read(client)
    except KafkaException as error:
        _refuse(error, kafka, "they cannot be read", ())
    return [_permission(each) for each in bindings]


def _require_may_read(client: AdminClient) -> None:
    """Raise the error of a principal that may not read the access control list.

    librdkafka 2.16 returns an empty list to it instead of the brokers' refusal.
    """
    cluster = client.describe_cluster(include_authorized_operations=True, request_timeout=_REQUEST_SECONDS).result()
    if AclOperation.DESCRIBE not in (cluster.authorized_operations or ()):
        raise KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED))


def _grant(client: AdminClient, kafka: KafkaConnection, missing: tuple[Permission, ...]) -> None:
    if not missing:
        return
    futures = client.create_acls([binding_of(each) for each in missing], request_timeout=_REQUEST_SECONDS)
    for future in futures.values():
        try:
            future.result()
        except KafkaException as error:
            _refuse(error, kafka, f"{len(missing)} are missing and cannot be granted", missing)
    # Brokers apply entries a moment after they are stored.
    deadline = time.monotonic() + _APPLIED_SECONDS
    while not set(missing) <= set(read_permissions(client, kafka)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _refuse(error: KafkaException, kafka: KafkaConnection, what: str, missing: tuple[Permission, ...]) -> NoReturn:
    code, listed = error.args[0].code(), f": {_list(missing)}" if missing else ""
    if code == KafkaError.SECURITY_DISABLED:
        cause = "the brokers have no authorizer, so everyone may do everything"
        remedy = "Set authorizer.class.name on the brokers, or remove the settings MODERATION_KAFKA_*_PRINCIPAL."
        raise ConfigurationError(_THING, cause, remedy) from error
    if code == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
        remedy = (
            "Run `moderation topics` once with an account that has Alter and Describe on the cluster; later runs need "
            "Describe only. See docs/kafka.md."
        )
        raise ConfigurationError(_THING, f"{what}{listed} ({error.args[0].str()})", remedy) from error
    raise broker_error(error, _THING, f"See {kafka.setting('bootstrap.servers')}.", detail=listed) from error


def _list(permissions: tuple[Permission, ...]) -> str:
    named = "; ".join(map(str, permissions[:_MOST_NAMED]))
    more = len(permissions) - _MOST_NAMED
    return f"{named}; and {more} more" if more > 0 else named


def binding_of(permission: Permission) -> AclBinding:
    """Return an entry in the form of the client."""
    return AclBinding(
        _RESOURCES[permission.resource],
        permission.name,
        ResourcePatternType[permission.pattern],
        permission.principal,
        permission.host,
        AclOperation[permission.operation],
        AclPermissionType.ALLOW if permission.allows else AclPermissionType.DENY,
    )


def _permission(binding: AclBinding) -> Permission:
    restype, pattern, operation = (
        ResourceType(binding.restype),
        ResourcePatternType(binding.resource_pattern_type),
        AclOperation(binding.operation),
    )
    return Permission(
        binding.principal,
        operation.name,
        "CLUSTER" if restype is ResourceType.BROKER else restype.name,
        binding.name,
        pattern.name,
        binding.permission_type == AclPermissionType.ALLOW,
        binding.host,
    )
