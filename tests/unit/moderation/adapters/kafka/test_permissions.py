"""What principals need on the brokers, compared with what they are allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from moderation.adapters.kafka.permissions import ROLES, Permission, compare_permissions, needed_permissions
from moderation.settings import Settings
from tests.conftest import ROOT

WORKER = "User:CN=worker,O=Example"
NEEDED = needed_permissions(Settings(topic_prefix="here-", consumer_group="g", kafka_worker_principal=WORKER))
READ = Permission(WORKER, "READ", "TOPIC", "here-comments")


def test_permissions_have_the_prefix_the_group_and_the_principal() -> None:
    assert {
        *(Permission(WORKER, each, "TOPIC", "here-comments") for each in ("READ", "DESCRIBE_CONFIGS")),
        *(Permission(WORKER, each, "TOPIC", "here-actions") for each in ("READ", "DESCRIBE_CONFIGS")),
        *(Permission(WORKER, "WRITE", "TOPIC", f"here-{each}") for each in ("decisions", "alerts", "panes")),
        Permission(WORKER, "READ", "GROUP", "g"),
    } == NEEDED


def test_without_principals_nothing_is_needed() -> None:
    assert needed_permissions(Settings()) == frozenset()


def test_the_readers_groups_begin_with_the_prefix() -> None:
    needed = needed_permissions(Settings(topic_prefix="here-", kafka_reader_principal="User:r"))
    assert Permission("User:r", "READ", "GROUP", "here-reader", "PREFIXED") in needed


def test_missing_permissions_are_named() -> None:
    report = compare_permissions(NEEDED, NEEDED - {READ})
    assert report.missing == (READ,)
    assert str(READ) == f"{WORKER} may READ topic here-comments"


def test_a_permission_for_one_host_is_not_enough() -> None:
    only_here = Permission(WORKER, "READ", "TOPIC", "here-comments", host="10.0.0.1")
    report = compare_permissions(NEEDED, [*(NEEDED - {READ}), only_here])
    assert (report.missing, report.too_broad) == ((READ,), (only_here,))


@pytest.mark.parametrize(
    "broad",
    [
        Permission(WORKER, "ALL", "TOPIC", "here-comments"),
        Permission(WORKER, "WRITE", "TOPIC", "here-comments"),
        Permission(WORKER, "READ", "TOPIC", "*"),
        Permission(WORKER, "READ", "TOPIC", "here-", "PREFIXED"),
        Permission(WORKER, "ALTER", "CLUSTER", "kafka-cluster"),
        Permission("User:*", "READ", "TOPIC", "here-comments"),
        Permission("User:*", "READ", "TOPIC", "*"),
        Permission("User:*", "WRITE", "TOPIC", "he", "PREFIXED"),
    ],
    ids=str,
)
def test_what_is_not_needed_is_too_broad(broad: Permission) -> None:
    report = compare_permissions(NEEDED, [*NEEDED, broad])
    assert (report.missing, report.too_broad, report.denied) == ((), (broad,), ())


@pytest.mark.parametrize(
    "harmless",
    [
        Permission(WORKER, "DESCRIBE", "TOPIC", "here-comments"),
        Permission("User:somebody", "ALL", "TOPIC", "here-comments"),
        Permission("User:*", "READ", "TOPIC", "other"),
        Permission("User:*", "READ", "TOPIC", "here-commentary", "PREFIXED"),
        Permission("User:somebody", "READ", "TOPIC", "here-comments", allows=False),
    ],
    ids=str,
)
def test_implied_permissions_and_those_of_others_are_left_alone(harmless: Permission) -> None:
    report = compare_permissions(NEEDED, [*NEEDED, harmless])
    assert (report.missing, report.too_broad, report.denied) == ((), (), ())


def test_entries_that_deny_what_is_needed_are_named() -> None:
    denials: Iterable[Permission] = (
        Permission(WORKER, "READ", "TOPIC", "here-comments", allows=False),
        Permission("User:*", "ALL", "TOPIC", "*", allows=False),
    )
    assert set(compare_permissions(NEEDED, [*NEEDED, *denials]).denied) == set(denials)


def test_only_the_operator_may_create_topics_and_nobody_may_delete_or_alter() -> None:
    granted = {role: {op for grant in grants for op in grant.operations} for role, grants in ROLES.items()}
    assert {role for role, operations in granted.items() if "CREATE" in operations} == {"operator"}
    assert not {"ALL", "ALTER", "ALTER_CONFIGS", "DELETE", "CLUSTER_ACTION"} & set().union(*granted.values())


def test_the_page_has_the_same_table() -> None:
    page = (ROOT / "docs" / "kafka.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (topic|group|cluster) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    documented = {
        (role, resource.upper(), name.strip("`"), operation.strip())
        for role, resource, names, operations in rows
        for name in names.split(", ")
        for operation in operations.split(",")
    }
    assert documented == {
        (role, grant.resource, grant.name, operation)
        for role, grants in ROLES.items()
        for grant in grants
        for operation in grant.operations
    }
