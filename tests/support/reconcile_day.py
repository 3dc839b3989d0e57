"""Test day for reconciliation: comments are sent, decided and archived, then reconciled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Producer

from batch.archive.run import archive_topics
from batch.reconcile.engines import Engine
from batch.reconcile.report import ReconcileReport
from batch.reconcile.run import days_to_reconcile, reconcile_day
from local.stack.environment import inherited_environment
from local.stack.worker import settings_environment
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import producer_settings
from moderation.contracts import Action, ActionKind, Comment, to_json
from tests.conftest import ROOT
from tests.support.fork_server import Forked, run_module
from tests.support.workers import Record, SpeedLayerUnderTest, as_login

DAY = date(2023, 11, 15)
DAY_US = 1_700_006_400_000_000
MINUTE_US = 60_000_000
_BODIES = ("Nice study, thanks.", "you idiot!!! {}", "FREE money at http://spam.example/{}", "Source? {}")


def comment(number: int, *, minute: float | None = None, community: str | None = None, key: str = "c") -> Comment:
    """Return a comment of the day; numbers increase with time, ten in a minute."""
    at_us = DAY_US + int((number / 10 if minute is None else minute) * MINUTE_US)
    return Comment(
        f"{key}{number}", community or ("science", "cooking")[number % 2], _BODIES[number % 4].format(number), at_us
    )


def comments(numbers: Iterable[int], **options: Any) -> list[Record]:
    """Return comments with their keys, as they are sent."""
    made = [comment(number, **options) for number in numbers]
    return [(each.comment_id, to_json(each)) for each in made]


class DayUnderTest:
    """Sends, archives and reconciles; can alter the database as a worker never would."""

    def __init__(self, layer: SpeedLayerUnderTest, folder: Path) -> None:
        self.layer = layer
        self.settings = layer.settings.model_copy(
            update={
                "lake_url": str(folder / "lake"),
                "state_folder": folder / "state",
                "reconcile_horizon_days": 100_000,  # the comments are of the year 2023
            }
        )

    def send(self, records: Sequence[Record]) -> None:
        """Send records and wait until the ledger accounts for all of them."""
        self.layer.produce(records)
        self.layer.wait_accounted(len(self.layer.delivered))
        self.layer.wait_read_to_end()

    def act(self, numbers: Iterable[int]) -> None:
        """Send removals of comments with these numbers, one hour after the start of the day."""
        producer = Producer(producer_settings(kafka_of(self.settings), 30))
        for number in numbers:
            action = Action(f"c{number}", ActionKind.REMOVE, "m1", "rule 1", DAY_US + 60 * MINUTE_US, 1.0)
            producer.produce(f"{self.settings.topic_prefix}actions", to_json(action), key=action.comment_id)
        assert producer.flush(30) == 0

    def archive(self, **options: Any) -> None:
        """Archive both topics."""
        archive_topics(as_login(self.settings, "batch"), **options)

    def reconcile(
        self,
        day: date = DAY,
        engine: Engine | None = None,
        reach: Callable[[Any], None] = lambda point: None,
        *,
        full: bool = False,
    ) -> ReconcileReport:
        """Reconcile in this process."""
        return reconcile_day(as_login(self.settings, "batch"), day, engine=engine, fault_point=reach, full=full)

    def needed(self) -> list[date]:
        """Return the days that need a run."""
        return days_to_reconcile(self.settings, date(2100, 1, 1))

    def start_reconciling(self, point: str = "") -> Forked:
        """Reconcile in a process that kills itself at a point; empty for none."""
        environment = {**inherited_environment(), **settings_environment(self.settings)}
        return run_module("tests.support.crashing_reconciler", [DAY.isoformat(), point], cwd=ROOT, env=environment)

    def reconcile_and_die(self, point: str) -> int:
        """Reconcile in a process that kills itself at a point; return its exit code."""
        return self.start_reconciling(point).wait(120)

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute a statement on the database."""
        with psycopg.connect(self.layer.database_url) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def run_rows(self, table: str) -> list[tuple[Any, ...]]:
        """Return a run's rows without ids and times, in order; equal runs have equal rows."""
        columns = {
            "runs": "day, revision, state, digest, panes, causes, lost, unexplained, phantom, residual",
            "panes": "partition, community, start_us, model_version, policy_version, batch_comments, batch_reviews, "
            "batch_removals, batch_score_sum, speed_comments, residual_comments, residual_score_sum, causes::text",
            "differences": 'partition, "offset", cause, community, start_us, comments, score_sum, comment_id',
        }[table]
        own = "SELECT run_id FROM batch.runs WHERE topic = %s"
        return self.execute(
            f"SELECT {columns} FROM batch.{table} WHERE run_id IN ({own}) ORDER BY 1, 2, 3, 4, 5", self.layer.topic
        )
