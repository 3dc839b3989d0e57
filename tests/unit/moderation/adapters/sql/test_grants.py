from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from moderation.adapters import sql
from moderation.adapters.sql.grants import LIMITS, PURPOSES, RULES, Grant, Role, Rule, login_statements, wanted_grants
from moderation.adapters.sql.tables import metadata
from tests.conftest import ROOT

WRITES = {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES", "MAINTAIN"}


@pytest.fixture(scope="module")
def tables() -> set[str]:
    for path in Path(sql.__file__).parent.glob("*.py"):
        if " = Table(" in path.read_text(encoding="utf-8"):
            importlib.import_module(f"{sql.__name__}.{path.stem}")
    return set(metadata.tables)


@pytest.fixture(scope="module")
def grants(tables: set[str]) -> set[Grant]:
    return wanted_grants([*tables, "serving.jobs", "serving.tumbling_windows"], "moderation")


def test_every_role_has_rules_a_purpose_and_the_same_limits() -> None:
    assert RULES.keys() == PURPOSES.keys() == LIMITS.keys() == set(Role)
    assert {frozenset(limits) for limits in LIMITS.values()} == {frozenset(LIMITS[Role.WORKER])}


def test_every_table_and_column_of_a_rule_exists(tables: set[str]) -> None:
    for rules in RULES.values():
        for rule in rules:
            named = [thing for thing in rule.things if "." in thing and not thing.endswith(("*", ")"))]
            named = [thing for thing in named if not thing.startswith("serving.")]
            assert set(named) - {"speed.decisions_default"} <= tables
            for thing in named:
                assert set(rule.columns) <= set(metadata.tables[thing].columns.keys() if rule.columns else ())


def test_only_workers_and_batch_add_rows_and_no_role_deletes_from_the_ledger(grants: set[Grant]) -> None:
    writers = {each.role for each in grants if each.thing == "speed.decisions" and each.privilege == "INSERT"}
    assert writers == {Role.WORKER}
    changed = {"speed.decisions", "speed.dead_letters", "speed.ledger_changes"}
    assert not [each for each in grants if each.thing in changed and each.privilege in ("DELETE", "TRUNCATE")]
    updates = {(each.role, each.thing) for each in grants if each.thing in changed and each.privilege == "UPDATE"}
    assert updates == {
        (Role.WORKER, "speed.dead_letters"),
        (Role.BATCH, "speed.dead_letters"),
        (Role.RETENTION, "speed.decisions"),
        (Role.RETENTION, "speed.dead_letters"),
    }
    assert all(each.column for each in grants if each.thing in changed and each.privilege == "UPDATE")


@pytest.mark.parametrize("role", [Role.READER, Role.CONSOLE])
def test_readers_write_nothing(grants: set[Grant], role: Role) -> None:
    given = {each.privilege for each in grants if each.role == role}
    assert given == {"CONNECT", "USAGE", "SELECT"}


def test_grafana_reads_the_views_only(grants: set[Grant]) -> None:
    read = {each.thing for each in grants if each.role == Role.READER and each.privilege == "SELECT"}
    assert read == {"serving.jobs", "serving.tumbling_windows"}


def test_statements_quote_columns_and_name_the_kind_of_object() -> None:
    update = Grant("moderation_batch", "UPDATE", "TABLE", "batch.runs", "cut")
    assert update.grant_statement == 'GRANT UPDATE ("cut") ON TABLE batch.runs TO moderation_batch'
    assert update.revoke_statement == 'REVOKE UPDATE ("cut") ON TABLE batch.runs FROM moderation_batch'
    execute = Grant("moderation_batch", "EXECUTE", "FUNCTION", "speed.lock_decisions(boolean)")
    assert execute.grant_statement == "GRANT EXECUTE ON FUNCTION speed.lock_decisions(boolean) TO moderation_batch"


def test_a_login_is_a_member_of_its_group_and_has_its_limits() -> None:
    statements = login_statements("loader", Role.WORKER)
    assert statements[0] == "GRANT moderation_worker TO loader"
    assert "ALTER ROLE loader SET statement_timeout = '1min'" in statements
    assert not any("pg_read_all_stats" in each for each in statements)
    assert "GRANT pg_read_all_stats TO loader" in login_statements("loader", Role.BATCH)


def test_who_inserts_or_updates_a_table_may_do_both() -> None:
    """``ON CONFLICT … DO UPDATE`` needs the right to update, which a test as the tables' owner does not miss."""
    statements = [
        found
        for path in sorted((ROOT / "moderation" / "adapters").rglob("*.py"))
        if "migrations" not in path.parts
        for found in re.findall(
            r"INSERT INTO ((?:speed|batch)\.\w+)(?:(?!INSERT INTO).)*?DO UPDATE", path.read_text(), re.DOTALL
        )
    ]
    assert {"speed.panes", "batch.gaps", "batch.jobs"} <= set(statements)
    for table in statements:
        inserting = [role for role, rules in RULES.items() if may(rules, "INSERT", table)]
        assert inserting, table
        assert all(may(RULES[role], "UPDATE", table) for role in inserting), table


def may(rules: tuple[Rule, ...], privilege: str, table: str) -> bool:
    return any(privilege in rule.privileges and table in rule.things for rule in rules)
