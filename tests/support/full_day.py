"""A day with data for every panel: late and duplicate comments, dead letters, actions and every defect."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Producer

from batch.job_log import RECONCILE, RETRAIN, VERIFY, store
from batch.reconcile.published import compare_published
from batch.reconcile.run import reconcile_day
from grafana.source.macros import expand
from grafana.source.model import Dashboard, Sql, Variable
from local.stack.commands import StackInfo
from moderation.adapters.kafka.topics import ensure_topics, producer_settings
from moderation.adapters.sql.jobs import JobOutcome
from moderation.contracts import Action, ActionKind, to_json
from tests.support.reconcile_day import DAY, DAY_US, MINUTE_US, DayUnderTest, comments
from tests.support.workers import base_settings, speed_layer

AIRFLOW_RUN = "http://airflow.example/dags/reconcile_windows/runs/scheduled__2023-11-16"
READER = "moderation_reader"


@dataclass(frozen=True)
class Result:
    """Result of a query: column names and rows."""

    names: list[str]
    rows: list[tuple[Any, ...]]


class FilledDay:
    """Runs the queries of dashboards with the role of Grafana."""

    def __init__(self, day: DayUnderTest) -> None:
        self.day = day

    def ask(self, query: Sql, values: Mapping[str, str | Sequence[str]]) -> Result:
        """Run a query as Grafana would, over all time."""
        end = datetime.now(UTC) + timedelta(days=1)
        text = expand(query.text, values, datetime(2023, 1, 1, tzinfo=UTC), end)
        with psycopg.connect(self.day.layer.database_url) as connection:
            connection.execute(f"SET ROLE {READER}")
            cursor = connection.execute(text.encode())
            assert cursor.description is not None
            return Result([column.name for column in cursor.description], cursor.fetchall())

    def values(self, dashboard: Dashboard) -> dict[str, str | list[str]]:
        """Return the variables of a dashboard that opens on the filled day: all values."""
        values: dict[str, str | list[str]] = {}
        for variable in dashboard.variables:
            if not variable.is_constant:
                found = self._listed(variable, values)
                fixed = {"topic": self.day.layer.topic, "day": DAY.isoformat()}.get(variable.name)
                assert fixed is None or fixed in found
                values[variable.name] = fixed or found
        return values

    def _listed(self, variable: Variable, values: Mapping[str, str | Sequence[str]]) -> list[str]:
        found = [row[0] for row in self.ask(Sql(variable.query), values).rows]
        assert found, f"variable {variable.name} has no values"
        return found


def due_day() -> date:
    """Return the day whose run the alert on missing runs expects now."""
    return (datetime.now(UTC) - timedelta(hours=30)).date()


@contextmanager
def filled_day(stack: StackInfo, prefix: str, folder: Path) -> Iterator[FilledDay]:
    """Fill a day: revision 1 has no defect, revision 2 has every kind. The worker is stopped afterwards."""
    ensure_topics(stack.kafka, prefix=prefix)
    settings = base_settings(stack, prefix).model_copy(
        update={"lake_url": str(folder / "lake"), "state_folder": folder / "state"}
    )
    with speed_layer(settings, folder) as layer:
        day = DayUnderTest(layer, folder)
        layer.start_worker()
        day.send([each for number in range(1_200) for each in comments([number], minute=_minute(number / 1_200))])
        day.send([each for number in range(30) for each in comments([2_000 + number], minute=240 + 11 * number)])
        day.send([(f"bad{number}", b"{}") for number in range(40)])
        due_us = int(datetime.combine(due_day(), datetime.min.time(), UTC).timestamp()) * 1_000_000
        day.send(comments(range(3_000, 3_020), minute=(due_us - DAY_US) / MINUTE_US + 720))
        layer.stop()
        _act(stack, prefix)
        day.archive()
        day.reconcile()
        _break(day)
        reconcile_day(settings, DAY, started_by=AIRFLOW_RUN)
        compare_published(settings, DAY)
        for job in ("archive comments", RECONCILE, RETRAIN, VERIFY):
            for outcome in JobOutcome:
                store(settings, job, outcome, "a reason", print)
        yield FilledDay(day)


def _minute(share: float) -> float:
    """Return when this share of a day's comments has arrived: fewer at night than in the afternoon."""
    return 1_440 * (share + 0.1 * math.sin(2 * math.pi * share))


def _act(stack: StackInfo, prefix: str) -> None:
    producer = Producer(producer_settings(stack.kafka, 30))
    for number in range(200):
        kind = ActionKind.REMOVE if number % 4 in (1, 2) else ActionKind.APPROVE
        action = Action(f"c{number}", kind, "m1", "rule 1", DAY_US + (number + 900) * MINUTE_US, 1.0)
        producer.produce(f"{prefix}actions", to_json(action), key=action.comment_id)
    for _ in range(3):
        producer.produce(f"{prefix}actions", b'{"comment_id": "c1", "kind": "ban"}')
    assert producer.flush(30) == 0


def _break(day: DayUnderTest) -> None:
    """Create one lost, one unexplained and one phantom row, and a pane that differs from its rows."""
    topic_id = day.layer.topic_id
    chosen = "SELECT tableoid, ctid FROM speed.decisions WHERE topic_id = %s AND comment_id = %s"
    day.execute(f"DELETE FROM speed.decisions WHERE (tableoid, ctid) IN ({chosen})", topic_id, "c100")
    day.execute(
        f"UPDATE speed.decisions SET score_ppm = 1000000 - score_ppm WHERE (tableoid, ctid) IN ({chosen})",
        *(topic_id, "c301"),
    )
    day.execute(
        "INSERT INTO speed.decisions SELECT d.append_day, d.topic_id, l.partition, l.\"offset\", d.append_us, 'ghost', "
        "d.community, d.event_time_us, d.record_id, d.score_ppm, d.verdict, d.model_version, d.policy_version, "
        "d.kernel_version, d.fate, d.reasons, d.stored_us FROM speed.decisions d, "
        "(SELECT * FROM speed.dead_letters WHERE topic_id = %s LIMIT 1) l "
        "WHERE d.topic_id = l.topic_id AND d.comment_id = 'c500'",
        topic_id,
    )
    day.execute(
        "UPDATE speed.panes SET comments = comments + 1 WHERE topic_id = %s AND (partition, start_us, community) IN "
        "(SELECT partition, start_us, community FROM speed.panes WHERE topic_id = %s ORDER BY 2, 1, 3 LIMIT 1)",
        *(topic_id, topic_id),
    )
