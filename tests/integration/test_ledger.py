"""Transactions of the ledger on a real PostgreSQL: a whole batch or nothing."""

from __future__ import annotations

import importlib
import pkgutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql

import moderation.adapters.sql
from local.stack.commands import StackInfo
from moderation.adapters.sql.ledger import Ledger
from moderation.adapters.sql.migrate import migrate
from moderation.adapters.sql.tables import metadata
from moderation.contracts import DeadLetterReason, Fate, Verdict, dead_letter
from moderation.errors import FenceLost, InvalidRecord, LedgerUnsafe, TopicRefused
from moderation.ledger import Batch, DecisionRow, Versions
from moderation.timestamps import day_of

VERSIONS = Versions("1", "policy", "1")
APPEND_US = 1_700_000_000_000_000


@pytest.fixture(scope="module")
def engine(stack: StackInfo) -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine(stack.postgres_url)
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def new_ledger(stack: StackInfo, engine: sqlalchemy.Engine) -> Iterator[Callable[..., Ledger]]:
    topic_id = uuid.uuid4()
    opened: list[Ledger] = []

    def make(url: str = "", topic_id: uuid.UUID = topic_id) -> Ledger:
        opened.append(Ledger(url or stack.database_url(), f"topic-{topic_id}", topic_id))
        return opened[-1]

    yield make
    for ledger in opened:
        ledger.close()


def row(offset: int, partition: int = 0, comment_id: str = "c") -> DecisionRow:
    return DecisionRow(
        partition,
        offset,
        APPEND_US,
        comment_id,
        "x",
        5,
        b"\0" * 32,
        900_000,
        Verdict.REMOVE,
        Fate.COUNTED,
        ["a", "b\t"],
    )


def batch(lo: int, hi: int, **changes: object) -> Batch:
    fields = {
        "ranges": {0: (lo, hi)},
        "versions": VERSIONS,
        "decisions": [row(n) for n in range(lo, hi)],
        "dead_letters": [],
    }
    return Batch(**{**fields, **changes})  # type: ignore[arg-type]


def stored(stack: StackInfo, ledger: Ledger) -> list[int]:
    with psycopg.connect(stack.database_url()) as connection:
        rows = connection.execute(
            'SELECT "offset" FROM speed.decisions WHERE topic_id = %s ORDER BY 1', (ledger.topic_id,)
        ).fetchall()
    return [found[0] for found in rows]


def test_migrations_make_what_sqlalchemy_sees(engine: sqlalchemy.Engine) -> None:
    for module in pkgutil.iter_modules(moderation.adapters.sql.__path__):  # each may add tables to the metadata
        importlib.import_module(f"moderation.adapters.sql.{module.name}")

    def ours(thing: object, name: str | None, kind: str, *_: object) -> bool:
        return not (
            kind == "table" and name is not None and (name.startswith("decisions_") or name == "alembic_version")
        )

    with engine.connect() as connection:
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name in ("speed", "batch"),
        }
        context = MigrationContext.configure(connection, opts={**options, "include_object": ours})
        assert compare_metadata(context, metadata) == []


def test_two_migrations_at_once_and_again_are_harmless(stack: StackInfo, engine: sqlalchemy.Engine) -> None:
    name = f"migrate_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        fresh = sqlalchemy.create_engine(engine.url.set(database=name))
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(migrate, fresh), pool.submit(migrate, fresh)]:
                done.result()
        migrate(fresh)
        assert sqlalchemy.inspect(fresh).has_table("decisions", schema="speed")
        fresh.dispose()
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_a_batch_moves_its_partition_and_is_read_back(stack: StackInfo, new_ledger: Callable[..., Ledger]) -> None:
    ledger = new_ledger()
    assert ledger.positions({0: 7, 3: 0})[0].next == 7
    letter = dead_letter(b"\0\\\n", APPEND_US, InvalidRecord(DeadLetterReason.NOT_JSON, "tab\t line\n back\\"))
    odd = "tab\t back\\slash \\N line\n quote'"
    ledger.store(batch(7, 9, decisions=[row(7, comment_id=odd)], dead_letters=[(0, 8, letter)]))
    ((decision, versions),) = ledger.decisions_between(0, 0, 100)
    assert (decision.offset, decision.comment_id, decision.verdict) == (7, odd, Verdict.REMOVE)
    assert (decision.reasons, versions) == (["a", "b\t"], VERSIONS)
    with psycopg.connect(stack.database_url()) as connection:
        kept = connection.execute(
            "SELECT detail, raw, raw_length FROM speed.dead_letters WHERE topic_id = %s", (ledger.topic_id,)
        ).fetchone()
    assert kept == (letter.detail, letter.raw, 3)
    position = new_ledger().positions({0: 0})[0]
    assert (position.next, position.published_next, position.versions) == (9, 7, VERSIONS)


def test_a_worker_that_lost_a_partition_changes_nothing(stack: StackInfo, new_ledger: Callable[..., Ledger]) -> None:
    zombie, owner = new_ledger(), new_ledger()
    zombie.positions({0: 0, 1: 0})
    owner.positions({0: 0, 1: 0})
    owner.store(batch(0, 5))
    late = batch(0, 3, ranges={0: (0, 3), 1: (0, 1)}, decisions=[*(row(n) for n in range(3)), row(0, partition=1)])
    with pytest.raises(FenceLost, match="partition 0"):
        zombie.store(late)
    assert stored(stack, owner) == [0, 1, 2, 3, 4]
    assert owner.positions({1: 0})[1].next == 0
    owner.store(batch(5, 6))


def test_a_batch_without_a_row_for_every_offset_is_refused(stack: StackInfo, new_ledger: Callable[..., Ledger]) -> None:
    ledger = new_ledger()
    ledger.positions({0: 0})
    for rows in ([row(0)], [row(0), row(1), row(2)]):
        with pytest.raises(ValueError, match="for 2 offsets"):
            ledger.store(batch(0, 2, decisions=rows))
    with pytest.raises(psycopg.errors.UniqueViolation):
        ledger.store(batch(0, 2, decisions=[row(0), row(0)]))
    assert stored(stack, ledger) == []
    assert ledger.positions({0: 0})[0].next == 0
    ledger.store(batch(0, 2))


def test_served_notes_from_which_offset_each_version_decided(
    stack: StackInfo, new_ledger: Callable[..., Ledger]
) -> None:
    ledger = new_ledger()
    ledger.positions({0: 0})
    newer = Versions("2", "policy", "1")
    for lo, versions in ((0, VERSIONS), (2, VERSIONS), (4, newer), (6, newer), (8, VERSIONS)):
        ledger.store(batch(lo, lo + 2, versions=versions))
    with psycopg.connect(stack.database_url()) as connection:
        served = connection.execute(
            "SELECT from_offset, model_version FROM speed.served WHERE topic_id = %s ORDER BY 1", (ledger.topic_id,)
        ).fetchall()
    assert served == [(0, "1"), (4, "2"), (8, "1")]


def test_published_positions_only_move_forward_and_never_past_the_ledger(new_ledger: Callable[..., Ledger]) -> None:
    ledger = new_ledger()
    ledger.positions({0: 0})
    ledger.store(batch(0, 4))
    for published, expected in ((3, 3), (1, 3), (99, 4)):
        ledger.mark_published({0: published}, {})
        assert ledger.positions({0: 0})[0].published_next == expected


def test_deleted_unread_records_stop_the_worker(new_ledger: Callable[..., Ledger]) -> None:
    ledger = new_ledger()
    ledger.positions({0: 0})
    ledger.store(batch(0, 4))
    with pytest.raises(TopicRefused, match=r"\[4, 10\) were deleted"):
        ledger.positions({0: 10})


def test_a_database_that_could_lose_commits_or_has_no_tables_is_refused(
    stack: StackInfo, new_ledger: Callable[..., Ledger]
) -> None:
    with pytest.raises(LedgerUnsafe, match="synchronous_commit"):
        new_ledger(stack.database_url() + "?options=-c%20synchronous_commit%3Doff")
    with pytest.raises(LedgerUnsafe, match="moderation migrate"):
        new_ledger(stack.database_url("mlflow"))


READERS = ("speed.decisions", "serving.decision_minutes", "serving.alerts", "serving.served_versions")
"""All that read the ledger's rows."""


@pytest.mark.parametrize("number", range(len(READERS)), ids=READERS)
def test_an_open_reader_does_not_block_the_first_batch_of_a_day(
    stack: StackInfo, new_ledger: Callable[..., Ledger], number: int
) -> None:
    """The partition of the day is created while a reader's transaction is open, and readers continue."""
    ledger = new_ledger()
    ledger.positions({0: 0})
    day_us = APPEND_US + (number + 1) * 86_400 * 10**6
    first = batch(0, 3, decisions=[row(n)._replace(append_us=day_us) for n in range(3)])
    with psycopg.connect(stack.database_url()) as reader, ThreadPoolExecutor(1) as pool:
        name = f"speed.decisions_{day_of(day_us):%Y%m%d}"
        assert reader.execute("SELECT to_regclass(%s)", (name,)).fetchone() == (None,)
        reader.execute(f"SELECT count(*) FROM {READERS[number]}")  # its locks last until its transaction ends
        pool.submit(ledger.store, first).result(8)
        reader.execute("SELECT count(*) FROM speed.decisions")
    assert stored(stack, ledger) == [0, 1, 2]
