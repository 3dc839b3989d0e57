"""Airflow in the stack with its real parts: `up`, `status`, `down` and the environment of tasks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg
import pytest
from confluent_kafka import Producer

from batch.archive.run import archive_topics
from batch.drift.run import DAY_US
from local.demo.airflow_api import AirflowApi
from local.stack.airflow import AIRFLOW_PORTS, API_SERVER, DAGS, ROLES, USER, admin_password, airflow, password_of
from local.stack.commands import PartStatus, StackInfo, down, status, up
from local.stack.environment import MARKER
from local.stack.layout import StackLayout
from local.stack.processes import stack_processes, still_alive
from local.stack.wait import wait_until
from local.stack.worker import stack_settings
from moderation.adapters.kafka.topics import producer_settings
from moderation.adapters.sql.migrate import migrate_database
from moderation.bootstrap import registry, train_to_folder
from moderation.contracts import Comment, to_json
from moderation.datasets.synthetic import labelled_history
from moderation.policy import Policy, parse_goal
from moderation.scoring import ModerationPipeline
from tests.integration.test_drift import LOUD_DAY, QUIET_DAY, TRAFFIC, TRAINING_DAYS, day_of
from tests.support.airflow_runs import (
    accepted_acts,
    answer_and_wait,
    archived,
    backfill,
    ids_of,
    logs_of,
    runs_of,
    sum_of,
    trigger_for,
)
from tests.support.certified import register
from tests.support.labelled import send
from tests.support.leftover_processes import leftover_processes
from tests.support.model_folders import make_folder
from tests.support.probe_dags import PROBE
from tests.support.secret_traces import CommandLines, in_files, in_text, secrets_of

pytestmark = pytest.mark.long
T = TypeVar("T")
DAG_IDS = {path.stem for path in DAGS.glob("[!_]*.py")} | {"busy", "probe"}
PARTS = ["airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"]


@pytest.fixture(scope="module")
def layout() -> Iterator[StackLayout]:
    """Layout of a stack that is stopped and deleted at the end."""
    root = Path(tempfile.mkdtemp(prefix="moderation-airflow-"))
    layout = StackLayout(root)
    try:
        yield layout
    finally:
        down(layout, purge=True)
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def lines() -> Iterator[CommandLines]:
    """Command lines of all processes while the stack starts, runs tasks and stops."""
    with CommandLines() as lines:
        yield lines


@pytest.fixture(scope="module")
def stack_with_airflow(layout: StackLayout, lines: CommandLines) -> StackInfo:
    """A separate stack with Airflow and without the worker; it has the project's DAGs and two of the test."""
    dags = layout.root / "dags"
    shutil.copytree(DAGS, dags)
    (dags / "probe.py").write_text(PROBE)
    core = up(layout)
    assert API_SERVER not in core.ports
    assert [part.name for part in status(layout)] == ["supervisor", "kafka", "postgres", "mlflow"]
    assert admin_password(layout) is None
    return up(layout, extra_programs=airflow(layout, dags), extra_ports=AIRFLOW_PORTS)


@pytest.fixture
def api(stack_with_airflow: StackInfo) -> AirflowApi:
    password = admin_password(StackLayout(stack_with_airflow.root))
    assert password is not None
    return AirflowApi(stack_with_airflow, password)


def part(layout: StackLayout, name: str) -> PartStatus:
    return next(found for found in status(layout) if found.name == name)


def of_living(question: Callable[[], list[T]]) -> list[T]:
    """Return the answer of a process; nothing if it has ended, as processes for parsing and tasks do."""
    try:
        return question()
    except psutil.NoSuchProcess:
        return []


def test_every_part_of_airflow_is_listed_and_running(layout: StackLayout, stack_with_airflow: StackInfo) -> None:
    found = {one.name: one for one in status(layout)}
    for name in PARTS:
        assert found[name].state == "running", found[name]
        assert psutil.Process(found[name].pid).environ()[MARKER] == str(layout.root)
    assert found[API_SERVER].address == f"http://127.0.0.1:{stack_with_airflow.ports[API_SERVER]}"


def test_its_servers_listen_on_the_loopback_address_only(stack_with_airflow: StackInfo) -> None:
    listening = [
        connection.laddr
        for process in stack_processes(stack_with_airflow.root)
        for connection in of_living(partial(process.net_connections, "tcp"))
        if connection.status == psutil.CONN_LISTEN
    ]
    assert stack_with_airflow.ports[API_SERVER] in {address.port for address in listening}
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_the_password_opens_it_and_nothing_else_does(api: AirflowApi) -> None:
    status, answer = api.ask("POST", "/auth/token", {"username": "admin", "password": "admin"})
    assert status == 401, answer
    assert api.ask("GET", "/api/v2/dags")[0] == 200
    assert api.ask("GET", "/api/v2/dags", anonymous=True)[0] == 401


def test_airflow_stores_metadata_in_postgres_and_files_in_the_data_folder(
    layout: StackLayout, stack_with_airflow: StackInfo
) -> None:
    with psycopg.connect(stack_with_airflow.database_url("airflow")) as connection:
        row = connection.execute("select count(*) from job where state = 'running'").fetchone()
    assert row == (3,)
    assert not list(layout.airflow.rglob("*.db"))
    assert layout.airflow.stat().st_mode & 0o077 == 0


def test_it_shows_the_projects_dags_without_errors_and_no_examples(api: AirflowApi) -> None:
    for dag_id in DAG_IDS:
        wait_until(lambda dag_id=dag_id: api.is_parsed(dag_id), seconds=60, description=f"the DAG {dag_id}")  # type: ignore[misc]
    assert api.get("importErrors")["import_errors"] == []
    dags = {dag["dag_id"]: dag for dag in api.get("dags")["dags"]}
    assert dags.keys() == DAG_IDS
    assert dags["archive_topics"]["is_paused"] is False
    assert dags["archive_topics"]["owners"] == ["moderation"]


def test_tasks_find_the_kafka_connection_and_the_projects_settings(
    api: AirflowApi, stack_with_airflow: StackInfo
) -> None:
    run = api.trigger("probe")
    assert api.wait_for_end("probe", run) == "success"
    found = api.returned("probe", run, "find")
    assert found["connection"] == found["bootstrap"] == stack_with_airflow.kafka_bootstrap
    assert found["mlflow"] == stack_with_airflow.mlflow_url
    assert found["database"] == f"127.0.0.1:{stack_with_airflow.ports['postgres']}/moderation"


def test_a_killed_scheduler_restarts_and_runs_tasks_again(layout: StackLayout, api: AirflowApi) -> None:
    # A task that is killed with the scheduler is tried again only after five minutes; later tests need its DAG.
    running = "dags/~/dagRuns/~/taskInstances?state=running&state=queued"
    wait_until(lambda: not api.get(running)["task_instances"], seconds=120, description="the end of scheduled tasks")
    before = part(layout, "airflow-scheduler")
    workers = psutil.Process(before.pid).children(recursive=True)
    assert workers
    os.kill(before.pid, signal.SIGKILL)
    wait_until(
        lambda: part(layout, "airflow-scheduler").pid not in (0, before.pid), seconds=30, description="the scheduler"
    )
    after = part(layout, "airflow-scheduler")
    assert (after.restarts, after.last_exit) == (before.restarts + 1, "signal 9")
    # An archiver of a scheduled run ends with its task.
    wait_until(lambda: not still_alive(workers), seconds=60, description="the end of the old scheduler's processes")
    run = api.trigger("probe")
    assert api.wait_for_end("probe", run) == "success"


def test_archive_topics_archives_every_record_once(stack_with_airflow: StackInfo, api: AirflowApi) -> None:
    migrate_database(stack_with_airflow.database_url())
    before = ids_of(api, "archive_topics")
    producer = Producer(producer_settings(stack_with_airflow.kafka, 30))
    for topic, count in (("comments", 5), ("actions", 2)):
        for number in range(count):
            producer.produce(topic, b"{}", key=str(number))
    assert producer.flush(30) == 0

    for rows in (5, 0):
        run = api.trigger("archive_topics")
        # A task that fails on a busy broker is retried after half a minute, then after longer pauses.
        assert api.wait_for_end("archive_topics", run, seconds=300) == "success"
        new = ids_of(api, "archive_topics") - before  # at minute 5 of the hour, a scheduled run is among them
        assert sum_of(api, "archive_topics", new, "archive_comments", "rows") == rows
        assert archived(stack_with_airflow) == {"comments": 5, "actions": 2}
        before |= new
    assets = {asset["name"] for asset in api.get("assets")["assets"]}
    lake = {"moderation-lake-comments", "moderation-lake-actions"}
    assert assets == lake | {"moderation-drift", "retrain-requests", "moderation-challenger"}


@pytest.mark.proof  # test_dag_runs runs the DAG, test_policy knows what is not tried again
def test_reconcile_windows_stores_its_results_and_fails_on_a_defect_without_retry(
    layout: StackLayout,
    stack_with_airflow: StackInfo,
    api: AirflowApi,
    small_corpus: tuple[list[str], list[int]],
    tmp_path: Path,
) -> None:
    settings = stack_settings(layout, stack_with_airflow)
    migrate_database(stack_with_airflow.database_url())
    rows = zip(*small_corpus, strict=True)
    labelled = [(Comment(f"c{n}", "x", text, n), bool(label)) for n, (text, label) in enumerate(rows)]
    train_to_folder(labelled, tmp_path / "model", [parse_goal("review_share<=0.5")], settings, folds=3)
    register(tmp_path / "model", settings, "for a test")
    producer = Producer(producer_settings(stack_with_airflow.kafka, 30))
    for number in range(3):
        comment = Comment(f"r{number}", "science", "Nice study.", 1_700_006_400_000_000 + number)
        producer.produce("comments", to_json(comment), key=comment.comment_id)
    assert producer.flush(30) == 0

    run = api.trigger("reconcile_windows", {"day": "2023-11-15"})
    assert api.wait_for_end("reconcile_windows", run, seconds=900) == "success"
    report = api.returned("reconcile_windows", run, "reconcile", map_index=0)
    assert (report["state"], report["causes"]["unprocessed"]) == ("provisional", 3)

    with psycopg.connect(stack_with_airflow.database_url()) as connection:
        connection.execute(
            "insert into speed.source_offsets "
            "(topic_id, partition, topic, first, next, published_next, read_to_end_us) "
            "select topic_id, partition, topic, 0, next_offset, 0, read_to_end_us from batch.archive_reads "
            "where topic = 'comments'"
        )
    run = api.trigger("reconcile_windows", {"day": "2023-11-15"})
    assert api.wait_for_end("reconcile_windows", run, seconds=900) == "failed"
    tasks = api.get(f"dags/reconcile_windows/dagRuns/{run}/taskInstances")["task_instances"]
    ends = {task["task_id"]: (task["state"], task["try_number"]) for task in tasks}
    assert ends == {
        "archive": ("success", 1),
        "choose_days": ("success", 1),
        "compare_topics": ("skipped", 1),
        "reconcile": ("failed", 1),
    }
    with psycopg.connect(stack_with_airflow.database_url()) as connection:
        kept = connection.execute(
            "select revision, state, lost, started_by from batch.runs where day = '2023-11-15' order by revision"
        ).fetchall()
    assert [row[:3] for row in kept] == [(1, "provisional", 0), (2, "final", 3)]
    nightly = ids_of(api, "reconcile_windows")  # the schedule may have reconciled the day in the meantime
    assert any(each.replace(":", "%3A").replace("+", "%2B") in kept[1][3] for each in nightly)


def retrainings(api: AirflowApi) -> list[str]:
    """Return the retrainings that assets started, the oldest first; those of the schedule are not among them."""
    runs = sorted(runs_of(api, "retrain_model", "asset_triggered"), key=lambda run: str(run["run_after"]))
    return [str(run["dag_run_id"]) for run in runs]


def test_a_message_starts_a_retraining(layout: StackLayout, stack_with_airflow: StackInfo, api: AirflowApi) -> None:
    migrate_database(stack_with_airflow.database_url())
    wait_until(lambda: api.is_parsed("retrain_model"), seconds=60, description="the DAG retrain_model")
    before = len(retrainings(api))
    request = {"auc_margin": 1.0, "days": 1, "end": "2020-01-01", "reason": "slurs of the week"}
    producer = Producer(producer_settings(stack_with_airflow.kafka, 30))
    producer.produce("retrain-requests", b"passed over: no JSON object")
    producer.produce("retrain-requests", json.dumps(request))
    assert producer.flush(30) == 0
    wait_until(lambda: len(retrainings(api)) == before + 1, seconds=120, description="a run of retrain_model")
    run = retrainings(api)[-1]
    assert api.wait_for_end("retrain_model", run, seconds=300) == "success"
    assert set(api.states("retrain_model", run).values()) == {"skipped"}, "nothing to train on"
    assert "the lake contains no labelled comment between 2019-12-31" in logs_of(layout, run)
    assert "a message states 'auc_margin': it may state reason, days, end only" in logs_of(layout, run)


def test_detected_drift_starts_a_retraining_automatically(
    layout: StackLayout, stack_with_airflow: StackInfo, api: AirflowApi, tmp_path: Path
) -> None:
    migrate_database(stack_with_airflow.database_url())
    settings = stack_settings(layout, stack_with_airflow)
    end_us = TRAFFIC.start_us + TRAINING_DAYS * DAY_US
    first_days = [
        (each.comment, each.removed) for each in labelled_history(TRAFFIC) if each.comment.event_time_us < end_us
    ]
    train_to_folder(first_days, tmp_path / "model", [parse_goal("review_share<=0.2")], settings)
    number, _ = register(tmp_path / "model", settings, "the first days")
    registry(settings).promote(registry(settings).version(number))
    send(settings, TRAFFIC)
    archive_topics(settings)

    before = len(retrainings(api))
    for day, ends in ((QUIET_DAY, "skipped"), (LOUD_DAY, "success")):
        run = api.trigger("watch_drift", {"day": day_of(day).isoformat()})
        assert api.wait_for_end("watch_drift", run, seconds=300) == "success"
        assert api.states("watch_drift", run)["ask_for_retraining"] == ends
    wait_until(lambda: len(retrainings(api)) == before + 1, seconds=120, description="a run of retrain_model")
    started = retrainings(api)[-1]
    assert api.wait_for_end("retrain_model", started, seconds=300) == "success"
    assert set(api.states("retrain_model", started).values()) == {"skipped"}, "too young"


@pytest.mark.budget(240)
def test_a_backfill_and_triggers_for_three_named_days_do_those_days(
    layout: StackLayout, stack_with_airflow: StackInfo, api: AirflowApi
) -> None:
    days = [day_of(number).isoformat() for number in (QUIET_DAY - 2, QUIET_DAY - 1, QUIET_DAY)]
    end = day_of(QUIET_DAY + 1).isoformat()
    backfill(layout, stack_with_airflow, "reconcile_windows", days[0], end)
    runs = {run["partition_key"]: run["dag_run_id"] for run in runs_of(api, "reconcile_windows", "backfill")}
    assert sorted(runs) == days
    for day, run in runs.items():
        assert api.wait_for_end("reconcile_windows", run, seconds=300) == "success"
        assert api.returned("reconcile_windows", run, "choose_days") == [day]
        assert api.returned("reconcile_windows", run, "reconcile", map_index=0)["date"] == day
    with psycopg.connect(stack_with_airflow.database_url()) as connection:
        stored = connection.execute("SELECT DISTINCT day::text FROM batch.runs WHERE day::text = ANY(%s)", (days,))
        assert sorted(day for (day,) in stored) == days

    backfill(layout, stack_with_airflow, "watch_drift", days[0], end)
    backfilled = [run["dag_run_id"] for run in runs_of(api, "watch_drift", "backfill")]
    triggered = [trigger_for(api, "watch_drift", f"{day}T12:00:00Z") for day in days]
    for runs_of_days in (backfilled, triggered):
        for run in runs_of_days:
            assert api.wait_for_end("watch_drift", run, seconds=300) == "success"
        assert sorted(api.returned("watch_drift", run, "watch")["day"] for run in runs_of_days) == days

    assert "does not allow backfill runs" in backfill(
        layout, stack_with_airflow, "archive_topics", days[0], end, code=1
    )


@pytest.mark.budget(180)
def test_a_promotion_waits_for_an_approval_and_continues_with_it(
    layout: StackLayout, stack_with_airflow: StackInfo, api: AirflowApi, pipeline: ModerationPipeline, tmp_path: Path
) -> None:
    migrate_database(stack_with_airflow.database_url())
    settings = stack_settings(layout, stack_with_airflow)
    known = registry(settings)
    versions = []
    for name, policy in (("first", Policy(400_000, 900_000, ())), ("second", Policy(300_000, 800_000, ()))):
        number, _ = register(make_folder(tmp_path / name, pipeline, policy), settings, "for a test")
        versions.append(known.version(number))
    first, second = versions
    known.promote(first)
    known.give_alias("challenger", second)

    run = api.trigger("promote_model", {"reason": "a stricter policy"})
    wait_until(lambda: api.is_asking("promote_model", run, "approve"), seconds=120, description="the question")
    assert accepted_acts(layout, stack_with_airflow, run) == []
    assert api.is_asking("promote_model", run, "approve")
    assert answer_and_wait(layout, api, run, "Reject", asked=1) == "success"
    assert api.states("promote_model", run) == {"show": "success", "approve": "success", "promote": "skipped"}
    assert known.resolve("production") == first

    run = api.trigger("promote_model", {"reason": "a stricter policy"})
    approver = AirflowApi(stack_with_airflow, password_of(layout, "approver") or "", "approver")
    assert answer_and_wait(layout, approver, run, "Approve", asked=3) == "success"
    assert api.returned("promote_model", run, "promote")["by"] == "approver"
    assert (known.resolve("production"), known.resolve("previous")) == (second, first)

    run = api.trigger("rollback_model")
    assert api.wait_for_end("rollback_model", run) == "success"
    assert api.returned("rollback_model", run, "roll_back")["by"] == USER
    assert (known.resolve("production"), known.resolve("previous")) == (first, second)


def test_its_secrets_are_in_closed_files_and_on_no_command_line(
    layout: StackLayout, stack_with_airflow: StackInfo, lines: CommandLines
) -> None:
    secrets = secrets_of(layout)
    assert {f"credentials.secrets.airflow-{user}" for user in ROLES} <= secrets.keys()
    assert in_files(layout, secrets) == []
    for words in ("airflow scheduler", "airflow db migrate", "mlflow server", "postgres"):
        assert any(words in line for line in lines.seen), words
    assert [line for line in lines.seen if in_text(line, secrets)] == []


def test_down_leaves_no_process_not_even_of_a_running_task(layout: StackLayout, api: AirflowApi) -> None:
    run = api.trigger("busy")
    wait_until(lambda: api.states("busy", run) == {"sleep": "running"}, seconds=60, description="a task at work")
    running = stack_processes(layout.root)
    down(layout)
    assert still_alive(running) == []
    assert leftover_processes(layout.root) == []
    assert status(layout) == []
