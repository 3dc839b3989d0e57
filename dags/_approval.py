"""Approval in the Airflow UI that ends when what it asks about is out of date.

This file defines no DAG; ``.airflowignore`` names it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowSkipException, TaskAwaitingInput
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

from _notifications import Announce

ANSWER_WITHIN, LOOK_EVERY = timedelta(days=2), timedelta(minutes=10)


class CurrentApproval(ApprovalOperator):
    """Asks an approver; ends as skipped as soon as an answer is pointless; rejects after two days without an answer.

    Airflow takes the default answer after ``LOOK_EVERY``. The operator removes that answer and waits on, while what was
    shown is current and the two days have not passed.

    Args:
        shown_by: task that returned what the approver is shown: a mapping with ``version``, ``reason`` and ``text``.
        outdated: ``module:function`` that takes this mapping, and returns why an answer is pointless, or None.
        kwargs: of ``ApprovalOperator``.
    """

    def __init__(self, *, shown_by: str, outdated: str, **kwargs: Any) -> None:
        shown = f"ti.xcom_pull('{shown_by}')"
        super().__init__(
            subject=f"Is version {{{{ {shown}['version'] }}}} to serve? {{{{ {shown}['reason'] }}}}",
            body=f"{{{{ {shown}['text'] }}}}",
            defaults="Reject",
            response_timeout=ANSWER_WITHIN,
            notifiers=[Announce("approval")],
            **kwargs,
        )
        self.shown_by = shown_by
        self.outdated = outdated

    def execute(self, context: Any) -> Any:
        """Ask, notify, and wait."""
        try:
            return super().execute(context)
        except TaskAwaitingInput:
            raise self._waiting(self._left(context)) from None

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Return the answer; without one, skip if it is pointless by now, or wait on."""
        if event.get("timedout"):
            module, _, name = self.outdated.partition(":")
            cause = getattr(import_module(module), name)(context["ti"].xcom_pull(self.shown_by))
            if cause:
                raise AirflowSkipException(f"the approval is out of date: {cause}")
            if (left := self._left(context)) > timedelta():
                self._remove_answer(context)
                raise self._waiting(left)
        return super().execute_complete(context, event)

    def _left(self, context: Any) -> timedelta:
        """Return how long the approver may still answer."""
        began: datetime = context["dag_run"].start_date
        return began + ANSWER_WITHIN - datetime.now(UTC)

    def _waiting(self, left: timedelta) -> TaskAwaitingInput:
        return TaskAwaitingInput(
            method_name="execute_complete", timeout=max(min(left, LOOK_EVERY), timedelta(seconds=1))
        )

    def _remove_answer(self, context: Any) -> None:
        upsert_hitl_detail(
            ti_id=context["task_instance"].id,
            options=self.options,
            subject=self.subject,
            body=self.body,
            defaults=self.defaults,
            multiple=self.multiple,
            params=self.serialized_params,
            assigned_users=self.assigned_users,
        )
