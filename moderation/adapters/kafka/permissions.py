"""What each principal must be allowed on the brokers, and nothing more.

docs/kafka.md has the same table; a test compares. Kafka implies Describe by Read and Write, so the table does not list
it for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from moderation.adapters.kafka.connection import ARCHIVE_GROUP
from moderation.adapters.kafka.topics import ACTIONS, ALERTS, COMMENTS, DECISIONS, PANES, RETRAIN_REQUESTS, TOPICS
from moderation.settings import Settings

SOURCES = (COMMENTS.name, ACTIONS.name)
PUBLISHED = (DECISIONS.name, ALERTS.name, PANES.name)
CLUSTER = "kafka-cluster"
"""The name that Kafka gives to the cluster as a resource."""
ANYONE = "User:*"
_GROUP, _READERS = "group of the workers", "reader"


class Grant(NamedTuple):
    """Operations on a resource.

    Attributes:
        resource: ``TOPIC``, ``GROUP`` or ``CLUSTER``.
        name: of a topic without prefix, of a group, or of the cluster.
        operations: e.g. ``READ``.
        is_prefix: whether the name is the beginning of the names that are granted.
    """

    resource: str
    name: str
    operations: tuple[str, ...]
    is_prefix: bool = False


def _topics(names: Iterable[str], *operations: str) -> tuple[Grant, ...]:
    return tuple(Grant("TOPIC", name, operations) for name in names)


ROLES: Mapping[str, tuple[Grant, ...]] = {
    "worker": (
        *_topics(SOURCES, "READ", "DESCRIBE_CONFIGS"),
        *_topics(PUBLISHED, "WRITE"),
        Grant("GROUP", _GROUP, ("READ",)),
    ),
    "source": _topics(SOURCES, "WRITE"),
    "batch": (
        *_topics((*SOURCES, *PUBLISHED), "READ", "DESCRIBE_CONFIGS"),
        *_topics((RETRAIN_REQUESTS.name,), "READ"),
        Grant("GROUP", ARCHIVE_GROUP, ("READ",)),
    ),
    "operator": (
        *_topics((each.name for each in TOPICS), "CREATE", "READ", "WRITE", "DESCRIBE_CONFIGS"),
        Grant("GROUP", _GROUP, ("DESCRIBE",)),
        Grant("CLUSTER", CLUSTER, ("DESCRIBE",)),
    ),
    "reader": (*_topics(PUBLISHED, "READ"), Grant("GROUP", _READERS, ("READ",), is_prefix=True)),
}
"""What each role may do. Only the operator may read permissions; granting them needs Alter on the cluster."""


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """An entry of the brokers' access control list.

    Attributes:
        principal: e.g. ``User:moderation-worker``.
        operation: e.g. ``READ``; ``ALL`` for every one.
        resource: ``TOPIC``, ``GROUP`` or ``CLUSTER``.
        name: full name of the resource; ``*`` for every one.
        pattern: ``LITERAL`` or ``PREFIXED``.
        allows: False if the entry denies the operation.
        host: address of clients that it applies to; ``*`` for every one.
    """

    principal: str
    operation: str
    resource: str
    name: str
    pattern: str = "LITERAL"
    allows: bool = True
    host: str = "*"

    def __str__(self) -> str:
        of_name = f"{self.name}…" if self.pattern == "PREFIXED" else self.name
        verb = "may" if self.allows else "is denied to"
        host = "" if self.host == "*" else f" from {self.host}"
        return f"{self.principal} {verb} {self.operation} {self.resource.lower()} {of_name}{host}"

    def touches(self, other: Permission) -> bool:
        """Whether both concern a common resource."""
        if self.resource != other.resource:
            return False
        if self.pattern == "PREFIXED":
            overlaps = other.name.startswith(self.name)
            return overlaps or (other.pattern == "PREFIXED" and self.name.startswith(other.name))
        if other.pattern == "PREFIXED":
            return self.name == "*" or self.name.startswith(other.name)
        return self.name in ("*", other.name)


@dataclass(frozen=True, slots=True)
class PermissionReport:
    """Comparison of the brokers' access control list with what the principals need.

    Attributes:
        missing: permissions to grant.
        too_broad: allowed, but not needed.
        denied: entries that deny what is needed.
    """

    missing: tuple[Permission, ...]
    too_broad: tuple[Permission, ...]
    denied: tuple[Permission, ...]


def principals(settings: Settings) -> dict[str, str]:
    """Return the principals that the settings name, by role."""
    named = {role: getattr(settings, f"kafka_{role}_principal") for role in ROLES}
    return {role: principal for role, principal in named.items() if principal is not None}


def needed_permissions(settings: Settings) -> frozenset[Permission]:
    """Return what the principals that the settings name must be allowed."""
    return frozenset(
        permission
        for role, principal in principals(settings).items()
        for permission in _permissions_of(ROLES[role], principal, settings)
    )


def _permissions_of(grants: Iterable[Grant], principal: str, settings: Settings) -> Iterator[Permission]:
    names = {_GROUP: settings.consumer_group, _READERS: f"{settings.topic_prefix}{_READERS}"}
    for grant in grants:
        name = settings.topic_prefix + grant.name if grant.resource == "TOPIC" else names.get(grant.name, grant.name)
        pattern = "PREFIXED" if grant.is_prefix else "LITERAL"
        for operation in grant.operations:
            yield Permission(principal, operation, grant.resource, name, pattern)


def compare_permissions(needed: frozenset[Permission], present: Iterable[Permission]) -> PermissionReport:
    """Compare what principals need with the brokers' access control list.

    Too broad is what a named principal is allowed beyond its needs, and what everyone is allowed on the same resources.

    Args:
        needed: from :func:`needed_permissions`.
        present: every entry of the list.
    """
    named = {each.principal for each in needed}
    existing = frozenset(present)
    relevant = [
        each
        for each in existing - needed
        if each.principal in named or (each.principal == ANYONE and any(each.touches(need) for need in needed))
    ]
    return PermissionReport(
        tuple(sorted(needed - existing)),
        tuple(sorted(each for each in relevant if each.allows and not _is_implied(each, needed))),
        tuple(sorted(each for each in relevant if not each.allows and _denies(each, needed))),
    )


def _is_implied(permission: Permission, needed: frozenset[Permission]) -> bool:
    """Whether it is Describe of a resource that the principal may read or write."""
    return permission.operation == "DESCRIBE" and any(
        need.principal == permission.principal
        and (need.resource, need.name, need.pattern) == (permission.resource, permission.name, permission.pattern)
        and need.operation in ("READ", "WRITE")
        for need in needed
    )


def _denies(denial: Permission, needed: frozenset[Permission]) -> bool:
    return any(
        denial.touches(need)
        and denial.principal in (need.principal, ANYONE)
        and (denial.operation in ("ALL", need.operation) or denial.operation == "DESCRIBE")
        for need in needed
    )
