"""What all DAG files share: retries, one run at a time, skipped tasks, notifications, the Kafka connection.

Airflow puts the folder of DAG files on ``sys.path``. This file defines no DAG; ``.airflowignore`` names it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Connection, ExceptionRetryPolicy, RetryAction, RetryRule, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from _notifications import Announce

DAG_OPTIONS: dict[str, Any] = {
    "catchup": False,
    "is_paused_upon_creation": False,
    "max_active_runs": 1,
    "on_failure_callback": [Announce("timeout")],
}
NO_BACKFILL: Any = ["scheduled", "manual", "operator_triggered"]
"""Types of runs of a DAG without a date: Airflow refuses to backfill it."""
WITHOUT_DATE = {
    *("archive_topics", "bootstrap_model", "create_partitions", "promote_model", "rollback_model", "verify_lake"),
}
"""DAGs that work on the present state."""
KAFKA_CONNECTION = "kafka_default"

RETRY_POLICY = ExceptionRetryPolicy(
    [RetryRule(f"moderation.errors.{base}", RetryAction.FAIL) for base in ("NeedsPerson", "BadRecord")]
)
"""Fail at once on errors that another attempt meets again; retry `Unavailable`, `RestartProcess` and all others."""


def task_defaults(
    retries: int,
    *,
    first_delay: timedelta,
    longest_delay: timedelta,
    time_limit: timedelta,
) -> dict[str, Any]:
    """Return the ``default_args`` of a DAG.

    Args:
        retries: how often a task is tried again.
        first_delay: delay before the first retry; it doubles with each further retry.
        longest_delay: upper bound of the delay.
        time_limit: how long one attempt may run.
    """
    return {
        "pre_execute": _log_ignored_date,
        "owner": "moderation",
        "retries": retries,
        "retry_delay": first_delay,
        "retry_exponential_backoff": 2,
        "max_retry_delay": longest_delay,
        "retry_policy": RETRY_POLICY,
        "execution_timeout": time_limit,
        "on_failure_callback": [Announce("failure")],
    }


def or_skip(result: Any) -> Any:
    """Return the result of a task; if it states why nothing was done, end the task in the state *skipped*.

    The result is stored in both cases, and the reason is in the log.

    Raises:
        AirflowSkipException: the result is a text, or ``result["skipped"]`` is one: the reason.
    """
    if reason := result if isinstance(result, str) else result.get("skipped"):
        get_current_context()["ti"].xcom_push(key="return_value", value=result)
        raise AirflowSkipException(reason)
    return result


def kafka_settings() -> dict[str, Any]:
    """Return the settings of Airflow's Kafka connection, by librdkafka's names, for every step that archives."""
    settings: dict[str, Any] = Connection.get(KAFKA_CONNECTION).extra_dejson
    return settings


def topic(name: str) -> str:
    """Return the full name of a topic, with the prefix of this installation."""
    from moderation.settings import full_topic

    return full_topic(name)


def _log_ignored_date(context: Any) -> None:
    """Log that a DAG without a date ignores the one that its run states."""
    from batch.run_interval import RunDates, ignored_date

    if context["dag"].dag_id in WITHOUT_DATE and (line := ignored_date(RunDates.of(context["dag_run"]))) is not None:
        print(line)  # noqa: T201
