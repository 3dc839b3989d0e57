"""Database roles: what each may do, as one table from which statements, the page docs/database.md and tests follow.

Each role is a group without a login; logins of programs are its members. The role that owns the tables, the migrator,
is not in the table: it needs no grant. Day partitions of ``speed.decisions`` have no grants, so that every access goes
through the parent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

Query = Callable[[str], Iterable[Sequence[Any]]]
"""Executes a statement without parameters and returns its rows."""


class Role(StrEnum):
    """Group roles; the values are their names in PostgreSQL."""

    WORKER = "moderation_worker"
    BATCH = "moderation_batch"
    READER = "moderation_reader"
    CONSOLE = "moderation_console"
    RETENTION = "moderation_retention"


PURPOSES: Mapping[Role, str] = {
    Role.WORKER: "workers of the speed layer",
    Role.BATCH: "Airflow's tasks, and the commands of an operator",
    Role.READER: "Grafana: the views of schema `serving` and nothing else",
    Role.CONSOLE: "the console of moderators: reads only",
    Role.RETENTION: "`moderation retire`, and overwriting rows that must be erased",
}

LIMITS: Mapping[Role, Mapping[str, str]] = {
    Role.WORKER: {"statement_timeout": "1min", "lock_timeout": "30s", "idle_in_transaction_session_timeout": "8s"},
    Role.BATCH: {"statement_timeout": "2h", "lock_timeout": "15s", "idle_in_transaction_session_timeout": "2h"},
    Role.READER: {"statement_timeout": "1min", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"},
    Role.CONSOLE: {"statement_timeout": "30s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"},
    Role.RETENTION: {
        "statement_timeout": "30min",
        "lock_timeout": "15s",
        "idle_in_transaction_session_timeout": "5min",
    },
}
"""Time limits of each role's logins. PostgreSQL does not pass settings of a group on to its members."""

_PARTITION_FUNCTIONS = (
    "speed.create_day_table(date)",
    "speed.move_to_day_table(date)",
    "speed.lock_decisions(boolean)",
    "speed.attach_day_table(date)",
)
_RETIRE_FUNCTION = "speed.retire_append_day(date)"


class Rule(NamedTuple):
    """What a role may do with one kind of objects.

    Attributes:
        privileges: e.g. ``SELECT``.
        things: schemas, tables, ``schema.*`` for every table and view of a schema, or ``function(types)``.
        columns: limit the privileges to these columns; empty for all.
    """

    privileges: tuple[str, ...]
    things: tuple[str, ...]
    columns: tuple[str, ...] = ()


RULES: Mapping[Role, tuple[Rule, ...]] = {
    Role.WORKER: (
        Rule(("USAGE",), ("speed", "batch", "serving")),
        Rule(("SELECT", "INSERT", "UPDATE"), ("speed.source_offsets", "speed.panes", "speed.kept_models")),
        Rule(
            ("SELECT", "INSERT"),
            ("speed.decisions", "speed.dead_letters", "speed.holes", "speed.served", "speed.kept_model_files"),
        ),
        Rule(
            ("UPDATE",),
            ("speed.dead_letters",),
            ("replayed_as_topic_id", "replayed_as_partition", "replayed_as_offset"),
        ),
        Rule(("SELECT",), ("batch.files", "batch.holes", "serving.tumbling_windows")),
    ),
    Role.BATCH: (
        Rule(("USAGE",), ("speed", "batch", "serving")),
        Rule(("SELECT",), ("speed.*", "batch.*", "serving.*", "speed.decisions_default")),
        Rule(("INSERT", "UPDATE"), ("speed.source_offsets", "speed.kept_models")),
        Rule(
            ("INSERT",),
            ("speed.dead_letters", "speed.gaps", "speed.watermark_resets", "speed.kept_model_files"),
        ),
        Rule(("UPDATE",), ("speed.dead_letters",), ("corrected_length", "corrected_sha256")),
        Rule(
            ("INSERT",),
            (
                *("batch.files", "batch.holes", "batch.gaps", "batch.lake_claims", "batch.action_dead_letters"),
                *("batch.runs", "batch.panes", "batch.differences", "batch.stored_scores", "batch.promotions"),
                "batch.frozen_days",
            ),
        ),
        Rule(("UPDATE",), ("batch.runs",), ("cut", "agreement", "begun_us", "finished_us")),
        Rule(("UPDATE",), ("batch.promotions",), ("moved_us",)),
        Rule(("UPDATE",), ("batch.gaps",), ("next_offset",)),
        Rule(
            ("INSERT", "UPDATE"),
            ("batch.jobs", "batch.archive_reads", "batch.file_checks", "batch.published_checks"),
        ),
        Rule(("INSERT", "DELETE"), ("batch.written_paths",)),
        Rule(("EXECUTE",), _PARTITION_FUNCTIONS),
    ),
    Role.READER: (
        Rule(("USAGE",), ("serving",)),
        Rule(("SELECT",), ("serving.*",)),
    ),
    Role.CONSOLE: (
        Rule(("USAGE",), ("speed", "batch", "serving")),
        Rule(("SELECT",), ("speed.*", "batch.*", "serving.*")),
    ),
    Role.RETENTION: (
        Rule(("USAGE",), ("speed", "batch", "serving")),
        Rule(("SELECT",), ("speed.*", "batch.*", "serving.*", "speed.decisions_default")),
        Rule(("INSERT",), ("speed.retired_days", "batch.frozen_days")),
        Rule(("UPDATE",), ("speed.decisions",), ("comment_id", "record_id", "reasons")),
        Rule(
            ("UPDATE",),
            ("speed.dead_letters",),
            ("detail", "raw", "raw_sha256", "corrected_sha256"),
        ),
        Rule(("EXECUTE",), (_RETIRE_FUNCTION,)),
    ),
}
"""Grants of every role. A table that no rule names can be read by BATCH, CONSOLE and RETENTION, and changed by none."""


class Grant(NamedTuple):
    """One privilege of a role.

    Attributes:
        role: name of the role.
        privilege: e.g. ``SELECT``.
        kind: ``DATABASE``, ``SCHEMA``, ``TABLE`` or ``FUNCTION``.
        thing: its name; of a function with the types of its arguments.
        column: empty for the whole object.
    """

    role: str
    privilege: str
    kind: str
    thing: str
    column: str = ""

    @property
    def _what(self) -> str:
        return f"{self.privilege}{f' ({_quoted(self.column)})' if self.column else ''} ON {self.kind} {self.thing}"

    @property
    def grant_statement(self) -> str:
        """The statement that grants it."""
        return f"GRANT {self._what} TO {self.role}"

    @property
    def revoke_statement(self) -> str:
        """The statement that revokes it."""
        return f"REVOKE {self._what} FROM {self.role}"


class Differences(NamedTuple):
    """How the grants of a database differ from the table.

    Attributes:
        missing: grants that the database lacks.
        excess: grants that the table does not have.
    """

    missing: tuple[Grant, ...]
    excess: tuple[Grant, ...]


_ROLE_NAMES = ", ".join(f"'{role}'" for role in Role)
_EXISTING = f"SELECT rolname FROM pg_roles WHERE rolname IN ({_ROLE_NAMES})"  # noqa: S608 - fixed names
_RELATIONS = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname IN ('speed', 'batch', 'serving') AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
"""
_PRESENT = f"""
WITH acl (kind, thing, columns, privileges) AS (
    SELECT 'TABLE', n.nspname || '.' || c.relname, '', c.relacl
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('speed', 'batch', 'serving') AND c.relkind IN ('r', 'p', 'v', 'm')
    UNION ALL
    SELECT 'TABLE', n.nspname || '.' || c.relname, a.attname, a.attacl
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('speed', 'batch', 'serving') AND NOT a.attisdropped
    UNION ALL
    SELECT 'SCHEMA', nspname, '', nspacl FROM pg_namespace WHERE nspname IN ('speed', 'batch', 'serving')
    UNION ALL
    SELECT 'FUNCTION', n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')', '',
           p.proacl
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname IN ('speed', 'batch', 'serving')
    UNION ALL
    SELECT 'DATABASE', quote_ident(datname), '', datacl FROM pg_database WHERE datname = current_database()
)
SELECT r.rolname, e.privilege_type, acl.kind, acl.thing, acl.columns
  FROM acl CROSS JOIN LATERAL aclexplode(acl.privileges) e JOIN pg_roles r ON r.oid = e.grantee
 WHERE r.rolname IN ({_ROLE_NAMES})
"""  # noqa: S608 - fixed names


def missing_roles(query: Query) -> list[Role]:
    """Return the group roles that the server lacks.

    Args:
        query: executes a statement on it.
    """
    existing = {str(name) for (name,) in query(_EXISTING)}
    return [role for role in Role if role not in existing]


def wanted_grants(relations: Iterable[str], database: str) -> set[Grant]:
    """Return every grant of the table.

    Args:
        relations: tables and views that exist, with schema; rules with ``schema.*`` cover them.
        database: its quoted name.
    """
    existing = sorted(relations)
    grants = {Grant(role, "CONNECT", "DATABASE", database) for role in Role}
    for role, rules in RULES.items():
        for rule in rules:
            for thing in rule.things:
                covered = [each for each in existing if each.startswith(thing[:-1])] if thing.endswith("*") else [thing]
                grants |= {
                    Grant(role, privilege, _kind(name), name, column)
                    for name in covered
                    for privilege in rule.privileges
                    for column in rule.columns or ("",)
                }
    return grants


def differences(query: Query) -> Differences:
    """Compare the grants of a database with the table.

    Args:
        query: executes a statement on the database, whose roles exist and whose schema is the newest.
    """
    present = {Grant(*row) for row in query(_PRESENT)}
    ((database,),) = query("SELECT quote_ident(current_database())")
    wanted = wanted_grants((name for (name,) in query(_RELATIONS)), database)
    return Differences(tuple(sorted(wanted - present)), tuple(sorted(present - wanted)))


def create_statements(roles: Iterable[Role]) -> list[str]:
    """Return the statements that create group roles; their caller needs CREATEROLE."""
    return [f"CREATE ROLE {role} NOLOGIN" for role in roles]


def login_statements(login: str, role: Role) -> list[str]:
    """Return the statements, without a password, that make a login a member of a role and limit its times.

    Args:
        login: name of an existing login role, without quotes.
        role: its group.
    """
    return [
        f"GRANT {role} TO {login}",
        # Else the states of other sessions, such as those that hold locks, are not shown to it.
        *([f"GRANT pg_read_all_stats TO {login}"] if role in (Role.BATCH, Role.RETENTION) else []),
        *(f"ALTER ROLE {login} SET {name} = '{value}'" for name, value in LIMITS[role].items()),
    ]


def _kind(thing: str) -> str:
    if thing.endswith(")"):
        return "FUNCTION"
    return "TABLE" if "." in thing else "SCHEMA"


def _quoted(column: str) -> str:
    return f'"{column}"'
