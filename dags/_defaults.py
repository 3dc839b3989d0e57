"""Settings that all DAG files share: one run at a time, and retries with growing, bounded delays.

Airflow puts the folder of DAG files on ``sys.path``. This file defines no DAG; ``.airflowignore`` names it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

DAG_OPTIONS: dict[str, Any] = {"catchup": False, "is_paused_upon_creation": False, "max_active_runs": 1}


def fail_on(*errors: str) -> ExceptionRetryPolicy:
    """Return the policy that fails a task at once on these classes of ``moderation.errors`` and retries all others."""
    return ExceptionRetryPolicy([RetryRule(f"moderation.errors.{error}", RetryAction.FAIL) for error in errors])


def task_defaults(
    retries: int,
    *,
    first_delay: timedelta,
    longest_delay: timedelta,
    time_limit: timedelta,
    not_retried: tuple[str, ...],
) -> dict[str, Any]:
    """Return the ``default_args`` of a DAG.

    Args:
        retries: how often a task is tried again.
        first_delay: delay before the first retry; it doubles with each further retry.
        longest_delay: upper bound of the delay.
        time_limit: how long one attempt may run.
        not_retried: classes of ``moderation.errors`` on which a task fails at once.
    """
    return {
        "owner": "moderation",
        "retries": retries,
        "retry_delay": first_delay,
        "retry_exponential_backoff": 2,
        "max_retry_delay": longest_delay,
        "retry_policy": fail_on(*not_retried),
        "execution_timeout": time_limit,
    }
