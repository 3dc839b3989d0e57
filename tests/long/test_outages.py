"""PostgreSQL, Kafka or MLflow is away for a minute while DAGs run: each run succeeds in the end.

The tasks reach PostgreSQL through a port that the test takes away, because Airflow stores its own tables on the same
server. Kafka and MLflow are stopped by the supervisor.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer

from batch.archive.run import archive_topics
from local.demo.airflow_api import AirflowApi, answer_until_taken
from local.stack.airflow import AIRFLOW_PORTS, DAGS, admin_password, airflow
from local.stack.commands import StackInfo, down, start_program, stop_program, up
from local.stack.layout import StackLayout
from local.stack.program import Program
from local.stack.wait import wait_until
from local.stack.worker import stack_settings
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import producer_settings
from moderation.adapters.registry.registry import CHALLENGER, PREVIOUS, PRODUCTION
from moderation.adapters.sql.migrate import migrate_database
from moderation.bootstrap import registry, train_to_folder
from moderation.contracts import Action, ActionKind, Comment, to_json
from moderation.errors import StackError
from moderation.policy import parse_goal
from moderation.settings import PREFIX, Settings
from moderation.timestamps import DAY_US
from tests.support.certified import register
from tests.support.database_urls import altered_url
from tests.support.port_proxy import PortProxy

pytestmark = [pytest.mark.long, pytest.mark.alone]
AWAY_SECONDS = 60
_MET_SECONDS = 600  # on a busy machine, seven DAGs on four processes take minutes to reach the server
DAY = (datetime.now(UTC) - timedelta(days=10)).date()
FORMS: Mapping[str, Mapping[str, object]] = {
    "archive_topics": {},
    "create_partitions": {},
    "reconcile_windows": {"day": DAY.isoformat()},
    "watch_drift": {"day": DAY.isoformat()},
    "compare_challenger": {},
    "rescore_comments": {"day": DAY.isoformat()},
    "retrain_model": {"seed": 1},
    "promote_model": {"reason": "a test"},
    "rollback_model": {},
    "verify_lake": {},
}
REFUSED = {"bootstrap_model"}  # a version serves already
USES = {
    "postgres": {*FORMS} - {"promote_model", "rollback_model"},
    "kafka": {"archive_topics", "reconcile_windows", "retrain_model"},
    "mlflow": {*FORMS} - {"archive_topics", "create_partitions", "verify_lake"},
}


@dataclass(frozen=True)
class World:
    """A stack with Airflow, a lake and versions with every alias.

    Attributes:
        layout: of the stack.
        api: of Airflow.
        database: the port by which tasks reach PostgreSQL.
    """

    layout: StackLayout
    api: AirflowApi
    database: PortProxy

    def take_away(self, server: str) -> None:
        if server == "postgres":
            self.database.take_away()
        else:
            stop_program(self.layout, server)

    def bring_back(self, server: str) -> None:
        if server == "postgres":
            self.database.bring_back()
        else:
            start_program(self.layout, server)

    def tries(self, dag_id: str, run: str) -> int:
        """Return how many attempts the task of a run with most attempts had; one that waits for its next counts."""
        tasks = self.api.get(f"dags/{dag_id}/dagRuns/{run}/taskInstances")["task_instances"]
        return max((int(task["try_number"]) + int(task["state"] == "up_for_retry") for task in tasks), default=0)


@pytest.fixture(scope="module")
def world(small_corpus: tuple[list[str], list[int]]) -> Iterator[World]:
    root = Path(tempfile.mkdtemp(prefix="moderation-outages-"))
    layout = StackLayout(root)
    try:
        core = up(layout)
        migrate_database(core.database_url())
        settings = stack_settings(layout, core)
        fill(settings, small_corpus)
        give_versions(settings, small_corpus, root / "models")
        database = PortProxy(core.ports["postgres"])
        address = altered_url(core.database_url(), port=database.port)

        def programs(info: StackInfo) -> list[Program]:
            return [replace(each, env={**each.env, PREFIX + "DATABASE_URL": address}) for each in airflow(layout)(info)]

        info = up(layout, extra_programs=programs, extra_ports=AIRFLOW_PORTS)
        yield World(layout, AirflowApi(info, admin_password(layout) or ""), database)
    finally:
        down(layout, purge=True)
        shutil.rmtree(root, ignore_errors=True)


def fill(settings: Settings, corpus: tuple[list[str], list[int]]) -> None:
    """Send labelled comments of one day and archive them."""
    start_us = (DAY - datetime(1970, 1, 1, tzinfo=UTC).date()).days * DAY_US
    producer = Producer(producer_settings(kafka_of(settings), 30))
    for number, (text, is_removed) in enumerate(zip(*corpus, strict=True)):
        time_us = start_us + number * 60_000_000
        comment = Comment(f"c{number}", "science", text, time_us)
        producer.produce("comments", to_json(comment), key=comment.comment_id)
        if is_removed:
            action = Action(comment.comment_id, ActionKind.REMOVE, "m1", "rule 1", time_us + 1, 1.0)
            producer.produce("actions", to_json(action), key=comment.comment_id)
    assert producer.flush(30) == 0
    archive_topics(settings)


def give_versions(settings: Settings, corpus: tuple[list[str], list[int]], folder: Path) -> None:
    """Register a version for each alias."""
    versions = registry(settings)
    rows = zip(*corpus, strict=True)
    labelled = [(Comment(f"t{n}", "science", text, n), bool(is_removed)) for n, (text, is_removed) in enumerate(rows)]
    for number, alias in enumerate((PRODUCTION, PREVIOUS, CHALLENGER)):
        goals = [parse_goal(f"review_share<=0.{5 + number}")]
        train_to_folder(labelled, folder / alias, goals, settings, folds=3, seed=number)
        version, _ = register(folder / alias, settings, "for a test")
        versions.give_alias(alias, versions.version(version))


def outage(world: World, servers: tuple[str, ...], dags: set[str]) -> None:
    """Start the DAGs while servers are away, bring these back, and check that every run met the outage and succeeds."""
    for dag_id in dags:
        wait_until(lambda dag_id=dag_id: world.api.is_parsed(dag_id), seconds=120, description=dag_id)  # type: ignore[misc]
    begun = time.monotonic()
    for server in servers:
        world.take_away(server)
    try:
        runs = {dag_id: [world.api.trigger(dag_id, FORMS[dag_id])] for dag_id in sorted(dags)}
        met: dict[str, int] = {}

        def waiting() -> list[str]:
            for dag_id, own in runs.items():
                # A run that the schedule started at this minute goes first; the test's own run waits for its end.
                own.extend(run for run in world.api.unfinished(dag_id) if run not in own)
                met[dag_id] = max(met.get(dag_id, 0), *(world.tries(dag_id, run) for run in own))
            return [dag_id for dag_id, tries in met.items() if tries < 2]

        try:
            wait_until(lambda: not waiting(), seconds=_MET_SECONDS, description="a failed attempt of each DAG")
        except StackError as error:
            states = {(dag_id, run): world.api.states(dag_id, run) for dag_id in waiting() for run in runs[dag_id]}
            raise AssertionError(f"no attempt failed: {states}") from error
        time.sleep(max(0.0, begun + AWAY_SECONDS - time.monotonic()))
    finally:
        for server in servers:
            world.bring_back(server)
    if "promote_model" in runs:
        answer_until_taken(world.api, "promote_model", runs["promote_model"][0], "approve", "Reject", 300)
    for dag_id, own in runs.items():
        for run in own:
            end = world.api.wait_for_end(dag_id, run, seconds=900)
            assert end == "success", (dag_id, run, world.api.states(dag_id, run))


@pytest.mark.budget(240)
def test_runs_that_meet_servers_that_are_away_for_a_minute_succeed(world: World) -> None:
    outage(world, ("postgres", "kafka", "mlflow"), {"archive_topics", "promote_model", "rollback_model"})


def test_every_dag_has_a_form() -> None:
    assert {path.stem for path in DAGS.glob("[!_]*.py")} == {*FORMS} | REFUSED


@pytest.mark.proof
@pytest.mark.budget(600)
@pytest.mark.parametrize("server", USES)
def test_every_dag_that_uses_a_server_succeeds_after_its_outage(world: World, server: str) -> None:
    outage(world, (server,), USES[server])
