"""Start, answer and read runs of DAGs on a stack with Airflow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import psycopg

from local.demo.airflow_api import AirflowApi
from local.stack.airflow import API_SERVER, airflow, password_of
from local.stack.commands import StackInfo
from local.stack.environment import inherited_environment
from local.stack.layout import StackLayout
from local.stack.wait import wait_until
from tests.support.forbidden_acts import AIRFLOW_ACTS, REFUSED, status_of


def runs_of(api: AirflowApi, dag_id: str, run_type: str) -> list[dict[str, Any]]:
    """Return the runs of a DAG that have a type."""
    return [run for run in api.get(f"dags/{dag_id}/dagRuns")["dag_runs"] if run["run_type"] == run_type]


def ids_of(api: AirflowApi, dag_id: str) -> set[str]:
    """Return the ids of all runs of a DAG."""
    return {str(run["dag_run_id"]) for run in api.get(f"dags/{dag_id}/dagRuns")["dag_runs"]}


def sum_of(api: AirflowApi, dag_id: str, runs: Iterable[str], task_id: str, name: str) -> int:
    """Return the sum of a number that the task of each run returned, after all runs of the DAG have ended.

    A run that the schedule started beside a test's own run may have done its work.
    """
    wait_until(lambda: not api.unfinished(dag_id), seconds=300, description=f"the end of all runs of {dag_id}")
    return sum(int(api.returned(dag_id, run, task_id)[name]) for run in runs)


def trigger_for(api: AirflowApi, dag_id: str, logical_date: str) -> str:
    """Start a run for a logical date, as the form of the UI does; return its id."""
    status, answer = api.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": logical_date})
    assert status == 200, answer
    return str(answer["dag_run_id"])


def backfill(layout: StackLayout, stack: StackInfo, dag_id: str, first: str, end: str, *, code: int = 0) -> str:
    """Run ``airflow backfill create`` and return its output."""
    [scheduler] = [each for each in airflow(layout, layout.root / "dags")(stack) if each.name == "airflow-scheduler"]
    options = ("--dag-id", dag_id, "--from-date", first, "--to-date", end)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "airflow", "backfill", "create", *options],
        env=inherited_environment() | dict(scheduler.env),
        cwd=layout.run,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr[-2_000:]
    return done.stdout + done.stderr


def logs_of(layout: StackLayout, run: str) -> str:
    """Return the logs of the tasks of a run."""
    return "".join(path.read_text() for path in layout.airflow.rglob("*.log") if run in str(path))


def answer_and_wait(layout: StackLayout, api: AirflowApi, run: str, option: str, *, asked: int) -> str:
    """Answer the n-th approval once the asking process has ended; before that, Airflow asks again."""
    log, ended = layout.log_file("airflow-scheduler"), "TaskInstance Finished: dag_id=promote_model, task_id=approve"
    wait_until(lambda: log.read_text().count(ended) >= asked, seconds=120, description="the question")
    api.answer("promote_model", run, "approve", option)
    return api.wait_for_end("promote_model", run, seconds=300)


def archived(stack: StackInfo) -> dict[str, int]:
    """Return the number of rows in the manifest by topic."""
    with psycopg.connect(stack.database_url()) as connection:
        return dict(connection.execute("select topic, sum(rows)::bigint from batch.files group by topic").fetchall())


def accepted_acts(layout: StackLayout, stack: StackInfo, run: str) -> list[str]:
    """Try every forbidden act as each account, on a run that waits for its approval; return those not refused."""
    headers: dict[str, dict[str, str]] = {"": {}}
    for user in ("viewer", "user"):
        headers[user] = AirflowApi(stack, password_of(layout, user) or "", user).headers
    tried = {str(act): status_of(stack.ports[API_SERVER], act, {"run": run}, headers[act.who]) for act in AIRFLOW_ACTS}
    assert len(tried) == len(AIRFLOW_ACTS)
    return [f"{act}: status {status}" for act, status in tried.items() if status not in REFUSED]
