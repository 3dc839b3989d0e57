"""The MLflow server: runs and models in PostgreSQL, artifacts in the data folder and served by the server itself."""

from __future__ import annotations

import http.client
import sys

from local.stack.layout import StackLayout
from local.stack.ports import HOST
from local.stack.program import Program

NAME = "mlflow"
WORKERS = 1
_ANSWER_SECONDS = 5.0
_OK = 200


def program(layout: StackLayout, *, port: int, database_url: str) -> Program:
    """The server as a program of the stack.

    Args:
        layout: where its files lie.
        port: where clients connect.
        database_url: SQLAlchemy URL of its database; it holds a password and so travels in the environment.
    """
    artifacts = layout.mlflow / "artifacts"
    return Program(
        name=NAME,
        # -P and the working folder keep a folder named `mlflow` in a checkout from hiding the package.
        argv=(
            sys.executable,
            "-P",
            "-m",
            "mlflow",
            "server",
            f"--host={HOST}",
            f"--port={port}",
            f"--workers={WORKERS}",
            "--serve-artifacts",
            f"--artifacts-destination={artifacts.as_uri()}",
            f"--allowed-hosts={HOST}:{port},localhost:{port}",
            f"--cors-allowed-origins=http://{HOST}:{port},http://localhost:{port}",
        ),
        cwd=layout.mlflow,
        env={
            "MLFLOW_BACKEND_STORE_URI": database_url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PYTHONSAFEPATH": "1",
        },
        address=f"http://{HOST}:{port}",
        depends_on=("postgres",),
        prepare=lambda: artifacts.mkdir(parents=True, exist_ok=True),
        ready=lambda: answers(port),
        ready_seconds=180.0,
        stop_seconds=15.0,
    )


def answers(port: int) -> bool:
    """Whether ``GET /health`` on ``port`` says that the server is well."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
