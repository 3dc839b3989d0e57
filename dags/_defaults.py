"""Settings that all DAG files share: one run at a time, retries with growing, bounded delays, and notifications.

Airflow puts the folder of DAG files on ``sys.path``. This file defines no DAG; ``.airflowignore`` names it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowSkipException

from _notifications import Announce

DAG_OPTIONS: dict[str, Any] = {
    "catchup": False,
    "is_paused_upon_creation": False,
    "max_active_runs": 1,
    "on_failure_callback": [Announce("timeout")],
}

RETRY_POLICY = ExceptionRetryPolicy(
    [RetryRule(f"moderation.errors.{base}", RetryAction.FAIL) for base in ("NeedsPerson", "BadRecord")]
)
"""Fail at once on errors that another attempt meets again; retry `Unavailable`, `RestartProcess` and all others."""


def or_skip(result: Any) -> Any:
    """Return the result of a task function; a text states why there was nothing to do, and skips the task."""
    if isinstance(result, str):
        raise AirflowSkipException(result)
    return result


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
        "owner": "moderation",
        "retries": retries,
        "retry_delay": first_delay,
        "retry_exponential_backoff": 2,
        "max_retry_delay": longest_delay,
        "retry_policy": RETRY_POLICY,
        "execution_timeout": time_limit,
        "on_failure_callback": [Announce("failure")],
    }
