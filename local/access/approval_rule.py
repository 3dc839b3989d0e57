"""Who may decide on a promotion in Airflow: accounts with the role of an approver.

The roles *User* of Airflow's auth managers may answer every approval, mark tasks as successful and write their results.
Each of these would promote a model. Approvers only may do so in the DAG ``promote_model``; everything else stays as the
roles say.
"""

from __future__ import annotations

DAG_ID = "promote_model"
GUARDED = frozenset({"HITL_DETAIL", "TASK_INSTANCE", "XCOM"})
"""Parts of a run, names of ``DagAccessEntity``: the approval, states of tasks, results of tasks."""


def needs_approver(method: str, entity: str | None, dag_id: str | None) -> bool:
    """Whether a request needs the role of an approver.

    Args:
        method: of HTTP.
        entity: the part of the DAG; None for the DAG itself.
        dag_id: the DAG; None for requests that concern several.
    """
    return method != "GET" and entity in GUARDED and dag_id in (DAG_ID, None)
