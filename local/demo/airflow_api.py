"""Client of Airflow's REST API, with a user name and a password."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from typing import Any

from local.stack.airflow import API_SERVER, USER
from local.stack.commands import StackInfo
from local.stack.ports import HOST
from local.stack.wait import wait_until
from moderation.errors import StackError

_ENDED = ("success", "failed")
_OK, _CREATED = 200, 201
_GET_ATTEMPTS = 4
_ASKED_SECONDS = 5
"""How long a question waits before it is answered.

Airflow takes the asking task for failed if the answer continues it before the executor has reported the end of the
process that asked: both have the same number of attempt. A person reads for longer than that.
"""


class AirflowApi:
    """A logged-in user of Airflow.

    Args:
        stack: addresses of the stack.
        password: of the user.
        user: the account.

    Attributes:
        headers: of every request; they contain the session.

    Raises:
        StackError: Airflow refuses the password.
    """

    def __init__(self, stack: StackInfo, password: str, user: str = USER) -> None:
        self._port = stack.ports[API_SERVER]
        self.headers = {"Content-Type": "application/json"}
        status, answer = self.ask("POST", "/auth/token", {"username": user, "password": password})
        _require(status == _CREATED, "log in", answer)
        self.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, anonymous: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Send a request; return status and JSON of the response."""
        headers = {"Content-Type": "application/json"} if anonymous else self.headers
        connection = http.client.HTTPConnection(HOST, self._port, timeout=30)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        finally:
            connection.close()

    def get(self, path: str) -> dict[str, Any]:
        """Get a path of the API's second version.

        Raises:
            StackError: Airflow answers with an error, or not within four attempts of 30 s.
        """
        for attempt in range(_GET_ATTEMPTS):
            try:
                status, answer = self.ask("GET", f"/api/v2/{path}")
            except (OSError, http.client.HTTPException) as error:
                if attempt + 1 == _GET_ATTEMPTS:
                    raise StackError("Airflow", f"it does not answer GET {path}: {error}", "See its log.") from error
                continue
            _require(status == _OK, f"GET {path}", answer)
            return answer
        raise AssertionError("every attempt returns, continues or raises")

    def is_parsed(self, dag_id: str) -> bool:
        """Whether the DAG processor has parsed it already."""
        return dag_id in {dag["dag_id"] for dag in self.get("dags")["dags"]}

    def trigger(self, dag_id: str, parameters: Mapping[str, object] | None = None) -> str:
        """Start a run of a DAG after it was parsed; returns the run's id."""
        wait_until(lambda: self.is_parsed(dag_id), seconds=60, description=f"DAG {dag_id}", interval_seconds=0.5)
        body = {"logical_date": None, "conf": dict(parameters or {})}
        status, answer = self.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)
        _require(status == _OK, f"trigger {dag_id}", answer)
        return str(answer["dag_run_id"])

    def unfinished(self, dag_id: str) -> list[str]:
        """Return the ids of a DAG's queued and running runs, the newest first."""
        runs = self.get(f"dags/{dag_id}/dagRuns?state=queued&state=running&order_by=-run_after")["dag_runs"]
        return [str(run["dag_run_id"]) for run in runs]

    def is_started_by_assets(self, dag_id: str) -> bool:
        """Whether events of assets start the DAG."""
        return self.get(f"dags/{dag_id}/details")["asset_expression"] is not None

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the state of each task of a run."""
        instances = self.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in instances}

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Answer the question of an approval task, once it has waited for ``_ASKED_SECONDS``.

        Raises:
            StackError: Airflow refuses the answer.
        """
        asked: float | None = None

        def has_waited() -> bool:
            nonlocal asked
            if self.states(dag_id, run_id).get(task_id) != "awaiting_input":
                asked = None
                return False
            asked = asked or time.monotonic()
            return time.monotonic() - asked >= _ASKED_SECONDS

        wait_until(has_waited, seconds=120, description=f"the question of {dag_id}", interval_seconds=0.5)
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        status, answer = self.ask("PATCH", path, {"chosen_options": [option], "params_input": {}})
        _require(status == _OK, f"answer {task_id}", answer)

    def is_asking(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """Whether an approval task waits for an answer that it does not have."""
        if self.states(dag_id, run_id).get(task_id) != "awaiting_input":
            return False
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        return not self.get(path)["response_received"]

    def wait_for_end(self, dag_id: str, run_id: str, seconds: float = 120) -> str:
        """Wait until a run has ended; returns its state."""
        path = f"dags/{dag_id}/dagRuns/{run_id}"
        ended = f"the end of {dag_id}"
        wait_until(lambda: self.get(path)["state"] in _ENDED, seconds=seconds, description=ended, interval_seconds=0.5)
        return str(self.get(path)["state"])

    def returned(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> Any:
        """Return the result of a task; of a mapped task, that of the instance with this number."""
        entry = f"taskInstances/{task_id}/xcomEntries/return_value?map_index={map_index}"
        return self.get(f"dags/{dag_id}/dagRuns/{run_id}/{entry}")["value"]


def answer_until_taken(api: AirflowApi, dag_id: str, run_id: str, task_id: str, option: str, seconds: float) -> None:
    """Answer the question of an approval task, and again if Airflow asks again.

    Airflow may take the asking task for failed; its next attempt removes an answer of the first seconds.

    Raises:
        StackError: Airflow refuses the answer, or the task does not end in time.
    """
    api.answer(dag_id, run_id, task_id, option)

    def is_taken() -> bool:
        if api.is_asking(dag_id, run_id, task_id):
            api.answer(dag_id, run_id, task_id, option)
        return api.states(dag_id, run_id).get(task_id) in (*_ENDED, "skipped", "upstream_failed")

    wait_until(is_taken, seconds=seconds, description=f"the answer to {dag_id}", interval_seconds=1.0)


def _require(holds: bool, what: str, answer: Mapping[str, object]) -> None:
    if not holds:
        raise StackError("Airflow", f"it refused to {what}: {answer.get('detail', answer)}", "See its log.")
