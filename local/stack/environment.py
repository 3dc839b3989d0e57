"""The environment that programs of the stack inherit: the caller's, without what would bend a server.

This is the only module of the folder that looks at the environment, and it reads no setting from it.
"""

from __future__ import annotations

import os

MARKER = "COMMENT_MODERATION_STACK"
"""Carried by every process of a stack; its value is the data folder."""

_BLOCKED_PREFIXES = ("AIRFLOW_", "FLASK_", "GUNICORN_", "JAVA_", "KAFKA_", "MLFLOW_", "_MLFLOW_", "PG", "UVICORN_")
_BLOCKED_VARIABLES = frozenset(
    {
        "CLASSPATH",
        "FORWARDED_ALLOW_IPS",
        "JDK_JAVA_OPTIONS",
        "PYTHONDONTWRITEBYTECODE",  # without compiled modules kept, MLflow takes twice as long to start, every time
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "WEB_CONCURRENCY",
        "_JAVA_OPTIONS",
        MARKER,
    }
)


def inherited_environment() -> dict[str, str]:
    """A copy of the caller's environment without variables that change how the stack's servers behave."""
    environment = os.environ  # noqa: TID251 - copied for child processes, not read
    return {
        key: value
        for key, value in environment.items()
        if key not in _BLOCKED_VARIABLES and not key.startswith(_BLOCKED_PREFIXES)
    }
