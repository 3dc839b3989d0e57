"""Runs of DAGs in a stack's Airflow, by its user ``admin``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.demo.airflow_api import AirflowApi
from local.stack.airflow import admin_password, url
from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from moderation.errors import StackError


class AirflowRuns:
    """Starts runs and waits for their ends.

    Args:
        layout: of a stack with Airflow.
        info: its addresses.

    Raises:
        StackError: Airflow is not available.
    """

    def __init__(self, layout: StackLayout, info: StackInfo) -> None:
        password = admin_password(layout)
        if password is None:
            raise StackError("Airflow", "the stack was started without it", "Run `moderation up`.")
        self.api = AirflowApi(info, password)
        self.url = url(info)

    def run(self, dag_id: str, parameters: Mapping[str, object], seconds: float) -> str:
        """Start a run and wait for its success; returns the run's id.

        Raises:
            StackError: the run fails, or does not end in time.
        """
        run_id = self.api.trigger(dag_id, parameters)
        self.wait_for_success(dag_id, run_id, seconds)
        return run_id

    def wait_for_success(self, dag_id: str, run_id: str, seconds: float) -> None:
        """Wait until a run ends.

        Raises:
            StackError: the run fails, or does not end in time.
        """
        state = self.api.wait_for_end(dag_id, run_id, seconds=seconds)
        if state != "success":
            raise StackError(f"DAG {dag_id}", f"its run ended as {state}", f"See {self.url}.")

    def returned(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> Any:
        """Return the result of a task; see :meth:`AirflowApi.returned`."""
        return self.api.returned(dag_id, run_id, task_id, map_index=map_index)
