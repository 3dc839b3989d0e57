"""The MLflow server: runs and models in PostgreSQL, artifacts in the data folder, served by the server, accounts."""

from __future__ import annotations

import http.client
import sys

from local.stack.layout import StackLayout
from local.stack.mlflow_accounts import ensure_accounts, server_environment, write_server_file
from local.stack.ports import HOST
from local.stack.program import Program

NAME = "mlflow"
WORKERS = 1
_ANSWER_SECONDS = 5.0
_OK = 200


def program(layout: StackLayout, *, port: int, database_url: str) -> Program:
    """Return the server as a program of the stack.

    Args:
        layout: folders of its files.
        port: for clients.
        database_url: SQLAlchemy URL of its database, passed in the environment because it contains a password.
    """
    artifacts = layout.mlflow / "artifacts"

    def prepare() -> None:
        artifacts.mkdir(parents=True, exist_ok=True)
        write_server_file(layout)

    return Program(
        name=NAME,
        # -P and the working folder prevent that the folder `mlflow` of a checkout hides the package.
        argv=(
            sys.executable,
            "-P",
            "-m",
            "mlflow",
            "server",
            "--app-name=basic-auth",
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
            **server_environment(layout),
        },
        address=f"http://{HOST}:{port}",
        depends_on=("postgres",),
        prepare=prepare,
        ready=lambda: answers(port),
        after_ready=lambda: ensure_accounts(layout, port),
        ready_seconds=180.0,
        stop_seconds=15.0,
    )


def answers(port: int) -> bool:
    """Whether ``GET /health`` on ``port`` succeeds."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
