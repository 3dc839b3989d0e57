"""What each database role may and may not do, tried on a real PostgreSQL."""

from __future__ import annotations

import importlib
import pkgutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

import moderation.adapters.sql
from cli.main import app
from local.stack.commands import StackInfo
from local.stack.postgres import LOGINS
from moderation.adapters.kafka.topics import ensure_topics
from moderation.adapters.lake.manifest import read_archived_end
from moderation.adapters.sql import kept_models
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.grants import LIMITS, differences
from moderation.adapters.sql.ledger import Ledger
from moderation.adapters.sql.migrate import migrate_database
from moderation.adapters.sql.partitions import partition_state
from moderation.adapters.sql.tables import metadata
from moderation.adapters.sql.windows import newest_windows
from moderation.contracts import (
    Content,
    DeadLetterReason,
    Fate,
    Hole,
    HoleKind,
    RecordPosition,
    Verdict,
    dead_letter,
)
from moderation.errors import ConfigurationError, InvalidRecord
from moderation.ledger import Batch, DecisionRow, ReplayClaim, Versions, pane_sums
from moderation.offsets import TopicPartition
from stream.exit_codes import REFUSED
from tests.support.database_urls import altered_url
from tests.support.workers import base_settings, speed_layer

VERSIONS = Versions("1", "policy", "1")
OWNER = "moderation"
NOW = datetime.now(UTC)
TOPIC_ID = uuid.uuid4()
COPY = "INSERT INTO speed.decisions SELECT * FROM speed.decisions"
FORBIDDEN: dict[str, Sequence[str]] = {
    "worker": (
        "DELETE FROM speed.decisions",
        "UPDATE speed.decisions SET verdict = 'allow'",
        "UPDATE speed.decisions SET comment_id = ''",
        "TRUNCATE speed.decisions",
        "INSERT INTO speed.decisions_default SELECT * FROM speed.decisions",
        "DELETE FROM speed.dead_letters",
        "UPDATE speed.dead_letters SET raw = ''",
        "UPDATE speed.dead_letters SET corrected_length = 1",
        "DELETE FROM speed.panes",
        "DELETE FROM speed.source_offsets",
        "UPDATE speed.served SET model_version = '9'",
        "DELETE FROM speed.kept_models",
        "INSERT INTO speed.gaps VALUES (gen_random_uuid(), 0, 0, 1, 0, '')",
        'INSERT INTO speed.ledger_changes (changed_us, login, role, operation, "table", rows) '
        "VALUES (0, '', '', '', '', 0)",
        "SELECT * FROM batch.promotions",
        "UPDATE batch.runs SET lost = 0",
        "INSERT INTO batch.files (path) VALUES ('x')",
        "SELECT speed.create_day_table('2031-01-01')",
        "SELECT speed.retire_append_day('2020-01-01')",
        "ALTER TABLE speed.decisions DISABLE TRIGGER append_only",
        "DROP TABLE speed.decisions_default",
        "CREATE TABLE speed.own (n int)",
        "SET ROLE moderation_retention",
    ),
    "batch": (
        COPY,
        "UPDATE speed.decisions SET score_ppm = 0",
        "DELETE FROM speed.decisions",
        "DELETE FROM speed.decisions_default",
        "DELETE FROM speed.dead_letters",
        "UPDATE speed.dead_letters SET reason = 'empty'",
        "UPDATE speed.dead_letters SET raw = ''",
        "UPDATE speed.panes SET comments = 0",
        "UPDATE batch.files SET sha256 = ''",
        "DELETE FROM batch.files",
        "UPDATE batch.runs SET lost = 0",
        "DELETE FROM batch.runs",
        "UPDATE batch.promotions SET reason = 'forged'",
        "DELETE FROM batch.promotions",
        "DELETE FROM batch.manifest_identity",
        "INSERT INTO speed.retired_days VALUES ('2020-01-01', 0, 0, '')",
        "DELETE FROM speed.ledger_changes",
        "SELECT speed.retire_append_day('2020-01-01')",
        "ALTER TABLE speed.decisions DETACH PARTITION speed.decisions_default",
        "SET ROLE moderation_retention",
    ),
    "reader": (
        "SELECT * FROM speed.decisions",
        "SELECT raw FROM speed.dead_letters",
        "SELECT * FROM speed.kept_models",
        "SELECT * FROM batch.files",
        "CREATE SCHEMA own",
        "CREATE TABLE serving.own (n int)",
        "SELECT speed.lock_decisions(true)",
    ),
    "console": (
        "INSERT INTO batch.jobs (job, first_us) VALUES ('x', 0)",
        "UPDATE batch.promotions SET moved_us = 0",
        "UPDATE speed.source_offsets SET next = next",
        "UPDATE speed.dead_letters SET corrected_length = 1",
        "SELECT speed.lock_decisions(true)",
    ),
    "retention": (
        COPY,
        "UPDATE speed.decisions SET verdict = 'allow'",
        "UPDATE speed.decisions SET fate = 'late'",
        "UPDATE speed.decisions_default SET comment_id = ''",
        "DELETE FROM speed.decisions",
        "DELETE FROM speed.dead_letters",
        "UPDATE speed.panes SET comments = 0",
        "DELETE FROM speed.ledger_changes",
        "DELETE FROM batch.runs",
        "DROP TABLE speed.decisions_default",
        "SELECT speed.create_day_table('2031-01-01')",
    ),
    OWNER: (
        "DELETE FROM speed.decisions",
        "UPDATE speed.decisions SET fate = 'late'",
        "TRUNCATE speed.decisions",
        "DELETE FROM speed.dead_letters",
        "UPDATE speed.dead_letters SET reason = 'empty'",
        "TRUNCATE speed.dead_letters",
    ),
}
ALLOWED: dict[str, Sequence[str]] = {
    "batch": (
        "UPDATE speed.source_offsets SET next = next",
        "SELECT * FROM speed.source_offsets FOR UPDATE",
        "INSERT INTO speed.gaps VALUES (gen_random_uuid(), 0, 0, 1, 0, '')",
        'INSERT INTO speed.watermark_resets (topic_id, partition, "offset", reset_us, newest_event_us, reason) '
        "VALUES (gen_random_uuid(), 0, 0, 0, 0, '')",
        "INSERT INTO speed.dead_letters SELECT * FROM speed.dead_letters WHERE false",
        "UPDATE speed.dead_letters SET corrected_length = 1, corrected_sha256 = 'x'",
        "INSERT INTO batch.files SELECT * FROM batch.files WHERE false",
        "INSERT INTO batch.holes SELECT * FROM batch.holes WHERE false",
        "INSERT INTO batch.gaps SELECT * FROM batch.gaps WHERE false",
        "INSERT INTO batch.lake_claims SELECT * FROM batch.lake_claims WHERE false",
        "INSERT INTO batch.written_paths VALUES ('x', 0)",
        "DELETE FROM batch.written_paths WHERE path = 'x'",
        "INSERT INTO batch.archive_reads AS a VALUES (gen_random_uuid(), 0, 'x', 0, 0) "
        "ON CONFLICT (topic_id, partition) DO UPDATE SET next_offset = a.next_offset",
        "INSERT INTO batch.action_dead_letters SELECT * FROM batch.action_dead_letters WHERE false",
        "UPDATE batch.runs SET cut = cut, agreement = agreement, begun_us = 0, finished_us = 0",
        "INSERT INTO batch.panes SELECT * FROM batch.panes WHERE false",
        "INSERT INTO batch.differences SELECT * FROM batch.differences WHERE false",
        "INSERT INTO batch.stored_scores SELECT * FROM batch.stored_scores WHERE false",
        "INSERT INTO batch.frozen_days VALUES ('x', '2020-01-01', 0, '', 0)",
        "INSERT INTO batch.promotions SELECT * FROM batch.promotions WHERE false",
        "UPDATE batch.promotions SET moved_us = 0",
        "INSERT INTO batch.jobs AS j (job, first_us) VALUES ('x', 0) ON CONFLICT (job) DO UPDATE SET done_us = 1",
        "UPDATE batch.file_checks SET checked_us = 0",
        "UPDATE batch.published_checks SET checked_us = 0",
        "UPDATE speed.kept_models SET kept_us = 0",
        "INSERT INTO speed.kept_model_files SELECT * FROM speed.kept_model_files WHERE false",
        "SELECT pg_export_snapshot()",
    ),
    "reader": ("SELECT count(*) FROM serving.decision_partitions",),
    "console": ("SELECT count(*) FROM speed.decisions", "SELECT count(*) FROM batch.promotions"),
    "retention": (
        "UPDATE speed.decisions SET comment_id = '', record_id = '', reasons = NULL",
        "UPDATE speed.dead_letters SET detail = '', raw = '', raw_sha256 = '', corrected_sha256 = NULL",
        "INSERT INTO speed.retired_days VALUES ('2020-01-01', 0, 0, '')",
        "INSERT INTO batch.frozen_days VALUES ('x', '2020-01-01', 0, '', 0)",
        "SELECT speed.retire_append_day('2020-01-01')",
    ),
}


def cases(table: dict[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(login, statement) for login, statements in table.items() for statement in statements]


@pytest.fixture(scope="module")
def url(stack: StackInfo) -> str:
    """The owner's URL of the migrated database, whose ledger has rows."""
    migrate_database(stack.database_url())
    store_rows(stack.database_url("worker"), TOPIC_ID)
    return stack.database_url()


@pytest.fixture(scope="module")
def sessions(stack: StackInfo, url: str) -> Iterator[Callable[[str], psycopg.Connection[Any]]]:
    """Return a connection of each login; the owner has not said that it changes the ledger."""
    opened: dict[str, psycopg.Connection[Any]] = {}
    with ExitStack() as closing:

        def session(login: str) -> psycopg.Connection[Any]:
            if login not in opened:
                address = stack.database_url(login)
                opened[login] = closing.enter_context(psycopg.connect(address, autocommit=True))
                opened[login].execute("SET moderation.ledger_change = ''")
            return opened[login]

        yield session


def store_rows(url: str, topic_id: uuid.UUID, lo: int = 0) -> None:
    """Store a batch of everything that a worker stores, with the code of the worker."""
    append_us = round(NOW.timestamp() * 1e6)
    letter = dead_letter(b"\0", append_us, InvalidRecord(DeadLetterReason.NOT_JSON, "broken"))
    row = DecisionRow(0, lo, append_us, "c", "x", append_us, b"\0" * 32, 5, Verdict.REMOVE, Fate.COUNTED, ["a"])
    ledger = Ledger(url, f"topic-{topic_id}", topic_id)
    try:
        ledger.positions({0: lo})
        ledger.begin_attempts([0])
        claim = ReplayClaim(RecordPosition(topic_id, 0, lo - 2), 0, lo, Content(1, letter.raw_sha256))
        batch = Batch(
            {0: (lo, lo + 3)},
            VERSIONS,
            [row],
            [(0, lo + 1, letter)],
            panes=pane_sums([row], VERSIONS),
            replays=[claim] if lo else [],
            holes=[Hole(0, lo + 2, lo + 3, HoleKind.MARKER, append_us)],
        )
        ledger.rehearse(batch)
        ledger.store(batch)
        ledger.mark_published({0: lo + 1}, {})
        ledger.mark_read_to_end({0: (lo + 3, append_us)})
        ledger.give_up_attempts([0])
        assert ledger.is_stored({0: (lo, lo + 3)})
        assert len(list(ledger.decisions_between(0, lo, lo + 3))) == 1
        ledger.closed_panes(0, None, append_us)
    finally:
        ledger.close()


def test_forbidden_acts_are_enough() -> None:
    assert len(cases(FORBIDDEN)) >= 60


@pytest.mark.parametrize(("login", "statement"), cases(FORBIDDEN))
def test_a_forbidden_act_is_refused(
    sessions: Callable[[str], psycopg.Connection[Any]], login: str, statement: str
) -> None:
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        sessions(login).transaction(force_rollback=True),
    ):
        sessions(login).execute(statement.encode())


@pytest.mark.parametrize(("login", "statement"), cases(ALLOWED))
def test_an_act_that_a_role_needs_succeeds(
    sessions: Callable[[str], psycopg.Connection[Any]], login: str, statement: str
) -> None:
    with sessions(login).transaction(force_rollback=True):
        sessions(login).execute(statement.encode())


@pytest.mark.parametrize("login", ["batch", "console", "retention"])
def test_every_table_can_be_read(sessions: Callable[[str], psycopg.Connection[Any]], login: str) -> None:
    for module in pkgutil.iter_modules(moderation.adapters.sql.__path__):  # each may add tables to the metadata
        importlib.import_module(f"moderation.adapters.sql.{module.name}")
    for table in metadata.tables:
        sessions(login).execute(f"SELECT FROM {table} LIMIT 1".encode())


def test_grafana_reads_every_view(sessions: Callable[[str], psycopg.Connection[Any]]) -> None:
    session = sessions("reader")
    views = [str(name) for (name,) in session.execute("SELECT viewname FROM pg_views WHERE schemaname = 'serving'")]
    assert "tumbling_windows" in views
    for view in views:
        session.execute(f"SELECT FROM serving.{view} LIMIT 1".encode())


def test_a_worker_can_do_all_its_work(stack: StackInfo, url: str, tmp_path: Path) -> None:
    worker, topic_id = stack.database_url("worker"), uuid.uuid4()
    store_rows(worker, topic_id)
    store_rows(worker, topic_id, lo=3)  # its decision replays the dead letter of the first
    with psycopg.connect(url) as connection:
        replayed = connection.execute(
            'SELECT "offset" FROM speed.dead_letters WHERE topic_id = %s AND replayed_as_offset = 3', (topic_id,)
        ).fetchall()
    assert replayed == [(1,)]
    assert newest_windows(worker, topic_id, None, 5)
    (tmp_path / "model.json").write_text("{}")
    name, kept = f"model-{topic_id}", kept_models.KeptModel(topic_id.hex, {"a": "b"})
    with connected(worker, name="worker") as connection:
        read_archived_end(connection, TopicPartition("x", topic_id, 0))
        for certificate in ({"a": "b"}, {"a": "c"}):  # the second replaces the first
            newer = kept_models.KeptModel(kept.card_digest, certificate)
            assert kept_models.keep(connection, name, "1", newer, tmp_path, ["model.json"])
        kept_models.served_last(connection, "x")
        kept_models.read_files(connection, kept.card_digest, tmp_path, ["model.json"], 10)


def test_erasing_is_recorded_and_nobody_else_may_write_the_record(
    stack: StackInfo, url: str, sessions: Callable[[str], psycopg.Connection[Any]]
) -> None:
    topic_id = uuid.uuid4()
    store_rows(stack.database_url("worker"), topic_id)
    erase = "UPDATE speed.{} SET {} WHERE topic_id = %s"
    sessions("retention").execute(erase.format("decisions", "comment_id = ''").encode(), (topic_id,))
    sessions("retention").execute(erase.format("dead_letters", "raw = ''").encode(), (topic_id,))
    with psycopg.connect(url) as connection:
        changes = connection.execute(
            'SELECT login, role, operation, split_part("table", \'_\', 1), "offset" FROM speed.ledger_changes '
            "WHERE topic_id = %s ORDER BY change_id",
            (topic_id,),
        ).fetchall()
    assert changes == [
        ("retention", "retention", "update", "speed.decisions", 0),
        ("retention", "retention", "update", "speed.dead", 1),
    ]


def test_recent_decisions_cannot_be_retired(sessions: Callable[[str], psycopg.Connection[Any]]) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="may still get decisions"):
        sessions("retention").execute("SELECT speed.retire_append_day(%s)", (NOW.date(),))


def test_the_logins_have_the_limits_of_their_roles(sessions: Callable[[str], psycopg.Connection[Any]]) -> None:
    for login, role in LOGINS.items():
        for name, limit in LIMITS[role].items():
            shown = sessions(login).execute(f"SHOW {name}".encode()).fetchone()
            assert shown == (limit,), (login, name)


def test_a_migration_corrects_grants_and_the_command_names_them(
    stack: StackInfo, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODERATION_DATABASE_URL", stack.database_url("batch"))
    with psycopg.connect(url, autocommit=True) as owner:

        def found() -> tuple[list[str], list[str]]:
            both = differences(lambda query: owner.execute(query.encode()).fetchall())
            return [each.grant_statement for each in both.missing], [each.revoke_statement for each in both.excess]

        assert found() == ([], [])
        assert CliRunner().invoke(app, ["grants"]).exit_code == 0
        owner.execute("GRANT DELETE ON speed.decisions TO moderation_batch")
        owner.execute("REVOKE UPDATE (moved_us) ON batch.promotions FROM moderation_batch")
        owner.execute("REVOKE EXECUTE ON FUNCTION speed.lock_decisions(boolean) FROM moderation_batch")
        missing = [
            "GRANT EXECUTE ON FUNCTION speed.lock_decisions(boolean) TO moderation_batch",
            'GRANT UPDATE ("moved_us") ON TABLE batch.promotions TO moderation_batch',
        ]
        excess = ["REVOKE DELETE ON TABLE speed.decisions FROM moderation_batch"]
        assert found() == (missing, excess)
        printed = CliRunner().invoke(app, ["grants"])
        assert printed.exit_code == 1
        assert all(f"{each};" in printed.stdout for each in missing + excess)
        migrate_database(url)
        assert found() == ([], [])


def test_a_role_without_the_rights_of_a_worker_is_refused_with_what_to_do(stack: StackInfo, url: str) -> None:
    with pytest.raises(ConfigurationError, match="permission denied.*GRANT moderation_worker TO reader"):
        Ledger(stack.database_url("reader"), "x", uuid.uuid4())
    with pytest.raises(ConfigurationError, match="may not add decisions.*GRANT moderation_worker TO batch"):
        Ledger(stack.database_url("batch"), "x", uuid.uuid4())
    with (
        pytest.raises(ConfigurationError, match="permission denied.*docs/database.md"),
        connected(stack.database_url("reader")) as connection,
    ):
        connection.execute("SELECT FROM speed.decisions")


@pytest.mark.budget(30)
def test_a_worker_with_a_wrong_password_ends_for_good_within_seconds(
    stack: StackInfo, topic_prefix: str, tmp_path: Path
) -> None:
    ensure_topics(stack.kafka, prefix=topic_prefix)
    right = base_settings(stack, topic_prefix)
    wrong = altered_url(stack.database_url("worker"), password="guessed-wrong")
    with speed_layer(right, tmp_path) as layer:
        layer.settings = right.model_copy(update={"database_url": SecretStr(wrong)})
        assert layer.start_worker().wait(20) == REFUSED
    log = (tmp_path / "worker-0.log").read_text()
    assert "password authentication failed" in log
    assert "MODERATION_DATABASE_URL" in log
    assert "guessed-wrong" not in log


def test_the_state_of_partitions_is_read_by_the_batch_layer(stack: StackInfo, url: str) -> None:
    assert partition_state(stack.database_url("batch")).days_ahead > 0
