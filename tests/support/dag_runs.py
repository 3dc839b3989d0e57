"""DAGs from their first task to their last in one process (``dag.test()``), on a stack's real servers.

No scheduler runs and no api-server: what they do beside is the business of test_airflow.py. Airflow's metadata lie in
the stack's own PostgreSQL. Run as a program, this file is that process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from local.airflow import API_SERVER, DAGS, airflow
from local.environment import inherited_environment
from local.layout import StackLayout
from local.stack import StackInfo
from local.worker import settings_environment
from moderation.settings import Settings

ANSWERER = "approver"
"""Who answers what a run asks."""
_SECONDS = 300
_RESULT = "result of the run: "
Answer = Literal["Approve", "Reject"]


@dataclass(frozen=True)
class DagRun:
    """How a run ended.

    Attributes:
        state: of the run, ``success`` or ``failed``.
        tasks: state of each task; of mapped ones, ``task_id[0]`` and so on.
        returned: what tasks returned, by the same names; those that returned nothing are not among them.
        asked: what an approval showed: subject and body, by task.
        output: everything that was logged.
    """

    state: str
    tasks: dict[str, str]
    returned: dict[str, Any]
    asked: dict[str, dict[str, str]]
    output: str = field(repr=False)


class DagRuns:
    """Runs the project's DAGs with a test's own settings.

    Args:
        stack: its servers; Airflow's tables are made in its database.
        folder: of the DAG files.
    """

    def __init__(self, stack: StackInfo, folder: Path = DAGS) -> None:
        self._layout = StackLayout(stack.root)
        known = replace(stack, ports={API_SERVER: 0, **stack.ports})
        programs = {program.name: program for program in airflow(self._layout, folder)(known)}
        prepare = programs[API_SERVER].prepare
        assert prepare is not None
        prepare()
        self._environment = programs["airflow-scheduler"].env

    def run(
        self,
        dag_id: str,
        settings: Settings,
        conf: Mapping[str, object] | None = None,
        *,
        answer: Answer | None = None,
    ) -> DagRun:
        """Run a DAG once, as if it had been triggered by hand now.

        Args:
            dag_id: which one.
            settings: what its tasks find in the environment.
            conf: parameters of the run.
            answer: what a person says to every approval the run asks for; without one such a run never ends.
        """
        done = subprocess.run(
            [sys.executable, "-P", "-m", __spec__.name, dag_id, json.dumps(dict(conf or {})), answer or ""],
            env=inherited_environment() | dict(self._environment) | dict(settings_environment(settings)),
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        output, found, result = done.stdout.rpartition(_RESULT)
        assert done.returncode == 0, done.stdout[-4_000:]
        assert found, done.stdout[-4_000:]
        return DagRun(**json.loads(result.splitlines()[0]), output=output)  # threads may write as they end


def main(dag_id: str, conf: str, answer: str) -> None:
    # All that the threads below need as well: two threads that import at once may wait for each other.
    from airflow import settings
    from airflow.api_fastapi.core_api.routes.public import hitl  # noqa: F401
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.taskinstance import TaskInstance  # noqa: F401

    bag = DagBag(settings.DAGS_FOLDER)
    assert dag_id in bag.dags, bag.import_errors
    threading.Thread(target=_end_at_retry, args=(dag_id,), daemon=True).start()
    if answer:
        threading.Thread(target=_answer, args=(dag_id, answer), daemon=True).start()
    # As over REST and in the UI: such a run has no date of its own.
    run = bag.dags[dag_id].test(logical_date=None, run_conf=json.loads(conf))
    sys.stdout.flush()
    sys.stdout.write(_RESULT + json.dumps(_told(run)) + "\n")


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
    """End the process when a task is to be tried again: the run would only go on after minutes."""
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
    """Answer through the function that serves Airflow's API, as soon as a task of the DAG waits."""
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
    main(*sys.argv[1:])
