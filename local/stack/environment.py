"""The environment that programs of the stack inherit: the caller's, minus variables that alter servers.

This is the only module of the folder that accesses the environment. It reads no setting from it.
"""

from __future__ import annotations

import os

MARKER = "COMMENT_MODERATION_STACK"
"""Set in every process of a stack; its value is the data folder."""

_BLOCKED_PREFIXES = ("AIRFLOW_", "FLASK_", "GUNICORN_", "JAVA_", "KAFKA_", "MLFLOW_", "_MLFLOW_", "PG", "UVICORN_")
_BLOCKED_VARIABLES = frozenset(
    {
        "CLASSPATH",
        "FORWARDED_ALLOW_IPS",
        "JDK_JAVA_OPTIONS",
        "PYTHONDONTWRITEBYTECODE",  # without stored compiled modules MLflow takes twice as long for each start
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "WEB_CONCURRENCY",
        "_JAVA_OPTIONS",
        MARKER,
    }
)


def inherited_environment() -> dict[str, str]:
    """Return a copy of the caller's environment without variables that alter the stack's servers."""
    environment = os.environ  # noqa: TID251 - copied for child processes, not read
    return {
        key: value
        for key, value in environment.items()
        if key not in _BLOCKED_VARIABLES and not key.startswith(_BLOCKED_PREFIXES)
    }
