"""Day partitions of the ledger: created ahead, and rows moved out of DEFAULT while workers and readers run."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from local.oracle import verify
from local.stack.attention import attention
from local.stack.commands import StackInfo
from local.stack.environment import inherited_environment
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import ensure_topics
from moderation.adapters.sql.ledger import Ledger
from moderation.adapters.sql.migrate import migrate_database
from moderation.adapters.sql.partitions import keep_partitions, partition_state
from moderation.contracts import Fate, Verdict
from moderation.errors import ConfigurationError, LedgerUnsafe, TableLocked
from moderation.ledger import Batch, DecisionRow, Versions
from tests.support.database_urls import altered_url
from tests.support.workers import base_settings, comments, speed_layer

VERSIONS = Versions("1", "policy", "1")
TODAY = date(2035, 5, 1)
"""Of the tests that set the clock: no migration has created its partition."""
DAY = timedelta(days=1)
WHOLE = 'SELECT count(*), sum("offset") FROM speed.decisions'

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'waits'"


@pytest.fixture
def url(stack: StackInfo) -> Iterator[str]:
    """Migrated database for one test."""
    name = f"partitions_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        own = altered_url(stack.database_url(), database=name)
        migrate_database(own)
        yield own
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def ledger_of(url: str) -> Iterator[Ledger]:
    topic_id = uuid.uuid4()
    ledger = Ledger(url, f"topic-{topic_id}", topic_id)
    ledger.positions({0: 0})
    try:
        yield ledger
    finally:
        ledger.close()


def batch(lo: int, hi: int, day: date) -> Batch:
    append_us = round(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1e6)
    rows = [
        DecisionRow(0, n, append_us, f"c{n}", "x", n, b"\0" * 32, n % 1_000, Verdict.ALLOW, Fate.COUNTED, None)
        for n in range(lo, hi)
    ]
    return Batch({0: (lo, hi)}, VERSIONS, rows, [])


def ask(url: str, query: str) -> tuple[object, ...]:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row


def content(url: str) -> tuple[object, ...]:
    return ask(url, "SELECT count(*), md5(string_agg(d::text, '|' ORDER BY \"offset\")) FROM speed.decisions d")


def in_default(url: str) -> int:
    return int(str(ask(url, "SELECT count(*) FROM speed.decisions_default")[0]))


def tables(url: str) -> object:
    return ask(url, "SELECT array_agg(relname ORDER BY 1) FROM pg_class WHERE relname ~ '^decisions_\\d+$'")[0]


class Storing:
    """Ledger of a worker in a thread: stores batches of ten rows of the chosen append day."""

    def __init__(self, ledger: Ledger, day: date) -> None:
        self.day = day
        self.stored = 0
        self.longest_seconds = 0.0
        self._ledger = ledger
        self._ends = threading.Event()

    def run(self) -> None:
        """Store until stopped; any error ends it."""
        while not self._ends.is_set():
            begun = time.monotonic()
            self._ledger.store(batch(self.stored, self.stored + 10, self.day))
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - begun)
            self.stored += 10

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Store in a thread until the block ends."""
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(self.run)
            try:
                self.wait_more()
                yield
                self.wait_more()
            finally:
                self._ends.set()
                done.result(60)

    def wait_more(self, rows: int = 50) -> None:
        """Wait until more rows are stored."""
        upto = self.stored + rows
        wait_until(lambda: self.stored >= upto, seconds=30, description=f"{upto} rows are stored")


@pytest.mark.budget(40)
def test_decisions_continue_at_midnight_while_a_reader_blocks_the_partition_job(
    url: str,
) -> None:
    """Three days in turn: two with a partition, and one that no job has prepared."""
    keep_partitions(url, 1, today=TODAY)
    with (
        ledger_of(url) as ledger,
        psycopg.connect(url, application_name="a reader") as reader,
        ThreadPoolExecutor(1) as pool,
    ):
        worker = Storing(ledger, TODAY)
        with worker.at_work():
            reader.execute(WHOLE).fetchone()
            for number in (1, 2):
                worker.day = TODAY + number * DAY
                worker.wait_more()
            assert in_default(url) > 0
            with pytest.raises(TableLocked, match=r"transactions are open: .*a reader \(backend \d+, since"):
                keep_partitions(url, 1, today=TODAY + 2 * DAY, seconds=3)
            job = pool.submit(keep_partitions, url, 1, today=TODAY + 2 * DAY)
            worker.wait_more()
            assert not job.done()
            reader.rollback()
            report = job.result(60)
            worker.wait_more()
        assert set(report.created) == {TODAY + 2 * DAY, TODAY + 3 * DAY}
        assert report.moved.keys() == {TODAY + 2 * DAY}
        assert in_default(url) == 0
        assert content(url)[0] == worker.stored
        assert worker.longest_seconds < 4


@pytest.mark.long
@pytest.mark.budget(60)
def test_a_worker_stores_without_todays_partition_and_the_job_moves_its_rows_while_it_works(
    stack: StackInfo, model: Path, url: str, topic_prefix: str, tmp_path: Path
) -> None:
    ensure_topics(stack.kafka, prefix=topic_prefix)
    today = ask(url, "SELECT (now() AT TIME ZONE 'UTC')::date")[0]
    assert isinstance(today, date)
    with psycopg.connect(url, autocommit=True) as connection:
        for number in range(2):  # midnight may come
            connection.execute(f"DROP TABLE speed.decisions_{today + number * DAY:%Y%m%d}")
    settings = base_settings(stack, topic_prefix).model_copy(update={"database_url": SecretStr(url)})
    found = "; ".join(attention(settings))
    assert "only 0 days ahead have a partition" in found
    assert "speed.decisions_default" not in found
    with speed_layer(settings, tmp_path) as layer, psycopg.connect(url, application_name="a reader") as reader:
        worker = layer.start_worker()
        layer.produce(comments(400))
        reader.execute(WHOLE).fetchone()
        layer.wait_accounted(400)
        assert in_default(url) == 400
        assert "400 decisions are in speed.decisions_default" in "; ".join(attention(settings))
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(keep_partitions, url)
            layer.produce(comments(400, start=400))
            layer.wait_accounted(800)
            assert not job.done()
            reader.rollback()
            report = job.result(60)
        layer.produce(comments(400, start=800))
        layer.wait_accounted(1_200)
        assert worker.poll() is None
        assert sum(report.moved.values()) == 800
        assert in_default(url) == 0
        assert verify(kafka_of(settings), url, topic_prefix, layer.topic_id, layer.delivered).is_exact
        assert attention(settings) == []


STEPS = ("created", "moved", "locked", "attached", "committed")


@pytest.mark.parametrize("step", STEPS)
def test_a_job_that_is_killed_leaves_the_rows_as_they_were_and_the_next_one_moves_them(url: str, step: str) -> None:
    with ledger_of(url) as ledger:
        ledger.store(batch(0, 100, TODAY))
    before, had = content(url), tables(url)
    command = [sys.executable, "-P", "-m", "tests.support.crashing_partitions", url, TODAY.isoformat(), step]
    died = subprocess.run(
        command, env=inherited_environment(), cwd=Path(__file__).parents[2], timeout=60, check=False
    ).returncode
    assert died == -signal.SIGKILL
    wait_until(lambda: in_default(url) == (0 if step == "committed" else 100), seconds=10, description="the end")
    assert content(url) == before
    if step != "committed":
        assert tables(url) == had
    keep_partitions(url, 2, today=TODAY)
    assert (content(url), in_default(url)) == (before, 0)


@pytest.mark.parametrize("at", ["moved", "locked"])
def test_readers_get_every_row_once_whenever_they_begin(url: str, at: str) -> None:
    """Readers start before, during and after the move, with statement snapshots and with one from before the move."""
    with ledger_of(url) as ledger:
        ledger.store(batch(0, 100, TODAY))
    before = ask(url, WHOLE)
    with (
        psycopg.connect(url) as old,
        psycopg.connect(url, application_name="waits", autocommit=True) as waits,
        psycopg.connect(url, application_name="waits", autocommit=True) as waits_for_the_day,
        ThreadPoolExecutor(2) as pool,
    ):
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("SELECT 1")  # takes the snapshot
        answers: list[Future[object]] = []

        def begin(step: str) -> None:
            if step != at or answers:
                return
            answers.append(pool.submit(lambda: waits.execute(WHOLE).fetchone()))
            of_the_day = f"{WHOLE} WHERE append_day = '{TODAY}'"
            answers.append(pool.submit(lambda: waits_for_the_day.execute(of_the_day).fetchone()))
            if at == "locked":
                wait_until(lambda: ask(url, WAITING) == (2,), seconds=20, description="readers wait")
            else:
                assert [answer.result(20) for answer in answers] == [before, before]

        report = keep_partitions(url, 2, today=TODAY, on_step=begin)
        assert report.moved == {TODAY: 100}
        assert [answer.result(20) for answer in answers] == [before, before]
        assert old.execute(WHOLE).fetchone() == before
        assert ask(url, WHOLE) == before


def test_a_batch_that_meets_a_new_partition_is_stored_in_it(url: str) -> None:
    """Its COPY has chosen DEFAULT and waits; meanwhile the day gets a partition, so that DEFAULT refuses the rows."""
    with (
        ledger_of(url) as ledger,
        psycopg.connect(url) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("LOCK TABLE speed.decisions_default IN ACCESS EXCLUSIVE MODE")
        stored = pool.submit(ledger.store, batch(0, 10, TODAY))
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'speed.decisions_default'::regclass"
        wait_until(lambda: ask(url, query) == (1,), seconds=20, description="the batch waits")
        other.execute("CREATE TABLE speed.decisions_new (LIKE speed.decisions INCLUDING ALL)")
        bounds = f"FROM ('{TODAY}') TO ('{TODAY + DAY}')"
        other.execute(f"ALTER TABLE speed.decisions ATTACH PARTITION speed.decisions_new FOR VALUES {bounds}")
        other.commit()
        stored.result(20)
    assert ask(url, "SELECT count(*) FROM speed.decisions_new") == (10,)


def test_without_a_default_partition_a_worker_refuses_to_start_and_quarantines_nothing(url: str) -> None:
    with ledger_of(url) as ledger:
        with psycopg.connect(url) as connection:
            connection.execute("ALTER TABLE speed.decisions DETACH PARTITION speed.decisions_default")
        with pytest.raises(LedgerUnsafe, match="no partition takes a row"):
            ledger.store(batch(0, 10, TODAY))
        with pytest.raises(LedgerUnsafe, match="no partition takes a row"):
            ledger.rehearse(batch(0, 10, TODAY))
        with pytest.raises(LedgerUnsafe, match="it has no DEFAULT partition"):
            ledger.reconnect()


def test_far_days_get_no_partition_and_a_dropped_day_does_not_come_back(url: str) -> None:
    far = [date(1970, 1, 1), TODAY - 91 * DAY, TODAY + 3 * DAY, date(2999, 12, 31)]
    old = TODAY - 90 * DAY
    with ledger_of(url) as ledger:
        for number, day in enumerate([*far, old]):
            ledger.store(batch(number, number + 1, day))
    report = keep_partitions(url, 2, today=TODAY)
    assert (report.moved, report.far) == ({old: 1}, dict.fromkeys(far, 1))
    assert set(report.created) == {old, TODAY, TODAY + DAY, TODAY + 2 * DAY}
    assert keep_partitions(url, 2, today=TODAY).created == []
    assert content(url)[0] == 5
    with psycopg.connect(url) as connection:
        connection.execute(f"DROP TABLE speed.decisions_{old:%Y%m%d}")
    assert keep_partitions(url, 2, today=TODAY).created == []
    assert content(url)[0] == 4


def test_a_table_with_the_name_of_a_partition_is_left_alone_and_named(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE TABLE speed.decisions_{TODAY:%Y%m%d} (n int)")
    with pytest.raises(ConfigurationError, match=r"speed\.decisions_20350501: they are not partitions"):
        keep_partitions(url, 2, today=TODAY)
    assert "decisions_20350503" in str(tables(url))


def test_two_jobs_at_once_are_harmless(url: str) -> None:
    with ledger_of(url) as ledger:
        ledger.store(batch(0, 100, TODAY))
    before = content(url)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(keep_partitions, url, 3, today=TODAY) for _ in range(2)]
        created = [day for job in jobs for day in job.result(60).created]
    assert sorted(created) == [TODAY + number * DAY for number in range(4)]
    assert (content(url), in_default(url)) == (before, 0)


def test_a_worker_needs_no_right_to_create_or_alter_tables(url: str) -> None:
    role = sql.Identifier(f"worker_{uuid.uuid4().hex[:8]}")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {}").format(role))
        try:
            owner.execute(sql.SQL("GRANT USAGE ON SCHEMA speed TO {}").format(role))
            grant = "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA speed TO {}"
            owner.execute(sql.SQL(grant).format(role))
            own = altered_url(url, options=f"-crole={role.as_string(owner).strip(chr(34))}")
            with ledger_of(own) as ledger:
                ledger.store(batch(0, 10, TODAY))
                ledger.store(batch(10, 20, datetime.now(UTC).date()))
            with pytest.raises(ConfigurationError, match="owns the tables"):
                keep_partitions(own, 2, today=TODAY)
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {}").format(role))
            owner.execute(sql.SQL("DROP ROLE {}").format(role))
    state = partition_state(url)
    assert (state.default_rows, state.default_far_rows) == (0, 10)
