"""Run whole DAGs in one process (``dag.test()``) on the real servers of a stack.

No scheduler and no api-server runs; test_airflow.py tests those. Airflow stores its metadata in the stack's PostgreSQL.
Importing Airflow and the dependencies of tasks takes half a minute, so one process does it once and each run is a fork
of it. Run as a program, this file is that process: it reads one run per line of standard input, as JSON, and answers
each with a line that contains the exit code.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import httpx

from local.stack.airflow import API_SERVER, DAGS, airflow
from local.stack.commands import StackInfo
from local.stack.environment import inherited_environment
from local.stack.layout import StackLayout
from local.stack.worker import settings_environment
from moderation.settings import Settings

ANSWERER = "approver"
"""Who answers what a run asks."""
_SECONDS = 300
_RESULT = "result of the run: "
Answer = Literal["Approve", "Reject"]


@dataclass(frozen=True)
class DagRun:
    """Result of a run.

    Attributes:
        state: state of the run, ``success`` or ``failed``.
        tasks: state of each task; of mapped ones, ``task_id[0]`` and so on.
        returned: return values of tasks by the same names; tasks without one are left out.
        asked: subject and body of approvals, by task.
        output: the whole log.
    """

    state: str
    tasks: dict[str, str]
    returned: dict[str, Any]
    asked: dict[str, dict[str, str]]
    output: str = field(repr=False)


class DagRuns:
    """Runs the project's DAGs with a test's own settings.

    Args:
        stack: stack with the servers; Airflow's tables are created in its database.
        folder: folder of the DAG files.
    """

    def __init__(self, stack: StackInfo, folder: Path = DAGS) -> None:
        self._layout = StackLayout(stack.root)
        known = replace(stack, ports={API_SERVER: 0, **stack.ports})
        programs = {program.name: program for program in airflow(self._layout, folder)(known)}
        prepare = programs[API_SERVER].prepare
        assert prepare is not None
        prepare()
        self._environment = dict(programs["airflow-scheduler"].env)
        self._process: subprocess.Popen[str] | None = None

    def close(self) -> None:
        """End the process that runs are forked from."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def run(
        self,
        dag_id: str,
        settings: Settings,
        conf: Mapping[str, object] | None = None,
        *,
        answer: Answer | None = None,
        logical_date: datetime | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> DagRun:
        """Run a DAG once, like a manual trigger.

        Args:
            dag_id: id of the DAG.
            settings: settings for the environment of its tasks.
            conf: parameters of the run.
            answer: answer to every approval of the run; without one, a run with an approval never ends.
            logical_date: of the run; without one it has none, as with REST and the UI of a partitioned DAG.
            environment: further variables of its tasks, e.g. connections of Airflow.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __spec__.name],
                env=inherited_environment() | self._environment,
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.NamedTemporaryFile("r", prefix="dag-run-") as log:
            wanted = {
                "log": log.name,
                "environment": {**settings_environment(settings), **(environment or {})},
                "dag_id": dag_id,
                "conf": dict(conf or {}),
                "answer": answer,
                "logical_date": logical_date and logical_date.isoformat(),
            }
            self._process.stdin.write(json.dumps(wanted) + "\n")
            self._process.stdin.flush()
            answered = self._process.stdout.readline()
            written = log.read()
        assert answered.strip() == "0", written[-4_000:]
        output, found, result = written.rpartition(_RESULT)
        assert found, written[-4_000:]
        return DagRun(**json.loads(result.splitlines()[0]), output=output)  # threads may write as they end


def serve() -> None:
    """Import the dependencies of runs, then fork a process for each run on standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what imports print is no answer

    # Also import what the threads of a run need: two threads that import at once may deadlock.
    import airflow.api_fastapi.core_api.routes.public.hitl
    import airflow.models.taskinstance  # noqa: F401
    from airflow.sdk.execution_time import supervisor

    import tests.support.preloaded_tasks  # noqa: F401

    # Building the API for tasks takes ten seconds. Airflow caches it; each run starts an event loop for it.
    asyncio.run(_asked_once(supervisor.in_process_api_server().app))
    assert threading.active_count() == 1, threading.enumerate()
    fork = multiprocessing.get_context("fork")
    for line in sys.stdin:
        process = fork.Process(target=_run, kwargs=json.loads(line))
        process.start()
        process.join(_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
        answers.write(f"{process.exitcode}\n")
        answers.flush()


async def _asked_once(app: Any) -> None:
    """Make the application create its routes, which it does at its first request."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        await client.get("/no-such-route")


def _run(
    log: str,
    environment: dict[str, str],
    dag_id: str,
    conf: dict[str, object],
    answer: Answer | None,
    logical_date: str | None,
) -> None:
    os.environ.update(environment)  # noqa: TID251 - the run is a program of its own
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)

    from airflow import settings
    from airflow.dag_processing.dagbag import DagBag

    assert settings.engine is not None
    settings.engine.dispose(close=False)
    sys.path.append(settings.DAGS_FOLDER)
    bag = DagBag(settings.DAGS_FOLDER)
    assert dag_id in bag.dags, bag.import_errors
    threading.Thread(target=_end_at_retry, args=(dag_id,), daemon=True).start()
    if answer:
        threading.Thread(target=_answer, args=(dag_id, answer), daemon=True).start()
    date = None if logical_date is None else datetime.fromisoformat(logical_date)
    run = bag.dags[dag_id].test(logical_date=date, run_conf=conf)
    sys.stdout.flush()
    sys.stdout.write(_RESULT + json.dumps(_told(run)) + "\n")
    sys.stdout.flush()


def _told(run: Any) -> dict[str, Any]:
    from airflow.models.hitl import HITLDetail
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        tasks = run.get_task_instances(session=session)
        values = session.scalars(XComModel.get_many(run_id=run.run_id, dag_ids=run.dag_id, key="return_value")).all()
        details = {_name(task): detail for task in tasks if (detail := session.get(HITLDetail, task.id)) is not None}
        return {
            "state": str(run.state),
            "tasks": {_name(task): str(task.state) for task in tasks},
            "returned": {_name(value): XComModel.deserialize_value(value) for value in values},
            "asked": {name: {"subject": one.subject, "body": one.body} for name, one in details.items()},
        }


def _name(one: Any) -> str:
    return str(one.task_id) if one.map_index < 0 else f"{one.task_id}[{one.map_index}]"


def _end_at_retry(dag_id: str) -> None:
    """End the process when a task is to be retried: the run would continue only after minutes."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    waiting = select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.state == "up_for_retry")
    while True:
        with create_session() as session:
            if session.scalars(waiting).first() is not None:
                sys.stdout.flush()
                os._exit(1)
        time.sleep(0.5)


def _answer(dag_id: str, answer: str) -> None:
    """Answer an approval through Airflow's API function as soon as a task of the DAG waits."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    said = UpdateHITLDetailPayload(chosen_options=[answer])
    user = SimpleAuthManagerUser(username=ANSWERER, role="admin")
    while True:
        with create_session() as session:
            waiting = select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.state == "awaiting_input")
            for task in session.scalars(waiting).all():
                update_hitl_detail(dag_id, task.run_id, task.task_id, said, user, session)
        time.sleep(0.2)


if __name__ == "__main__":
    serve()
