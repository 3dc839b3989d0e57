"""Accounts of the stack's MLflow server: ``admin``, ``batch`` and ``worker``, with generated passwords."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.stack.credentials import ensure_secrets, load, new_secret, write_private
from local.stack.layout import StackLayout
from local.stack.ports import HOST
from moderation.errors import StackError

ADMIN = "admin"
BATCH, WORKER = "batch", "worker"
ACCOUNTS = (ADMIN, BATCH, WORKER)
SESSIONS = "mlflow-sessions"
"""Name of the key among the credentials that signs the sessions of the server."""
_ANSWER_SECONDS = 30.0
_OK = 200
_EXISTS = "RESOURCE_ALREADY_EXISTS"


def name_of(account: str) -> str:
    """Return the name of an account's password among the credentials of the stack."""
    return f"mlflow-{account}"


def passwords(layout: StackLayout) -> dict[str, str]:
    """Return the password of each account; missing ones are created.

    Raises:
        ConfigurationError: the file of credentials is absent or damaged, or other accounts may read it.
    """
    stored = ensure_secrets(layout.credentials_file, {name_of(account): new_secret for account in ACCOUNTS})
    return {account: stored[name_of(account)] for account in ACCOUNTS}


def password(layout: StackLayout, account: str) -> str | None:
    """Return the password of an account; None until the server was started with accounts."""
    credentials = load(layout.credentials_file)
    return credentials.secrets.get(name_of(account)) if credentials else None


def server_environment(layout: StackLayout) -> Mapping[str, str]:
    """Return the variables that configure the server's accounts; they contain secrets."""
    sessions = ensure_secrets(layout.credentials_file, {SESSIONS: new_secret})[SESSIONS]
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(_file(layout)),
        "MLFLOW_AUTH_ADMIN_PASSWORD": passwords(layout)[ADMIN],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": sessions,
    }


def write_server_file(layout: StackLayout) -> None:
    """Write the file that MLflow reads its rules for accounts from."""
    database = layout.run / "mlflow-accounts.db"
    if not database.exists():
        write_private(database, "")  # MLflow would create it readable
    lines = (
        "[mlflow]",
        "default_permission = READ",
        f"database_uri = sqlite:///{str(database).replace('%', '%%')}",
        f"admin_username = {ADMIN}",
        "authorization_function = local.access.registry:authenticate",
        # Without it every request costs a comparison of password hashes, tens of milliseconds.
        "auth_cache_ttl_seconds = 60",
    )
    write_private(_file(layout), "\n".join(lines) + "\n")


def _file(layout: StackLayout) -> Path:
    return layout.run / "mlflow-accounts.ini"


def ensure_accounts(layout: StackLayout, port: int) -> None:
    """Create the accounts that the server does not have, and give them the passwords of the stack. Idempotent.

    The account ``batch`` may change every model and every experiment: those of a former release have no owner.

    Args:
        layout: of the stack.
        port: of the server, which answers.

    Raises:
        StackError: the server refuses a request of its administrator.
    """
    stored = passwords(layout)
    admin = (ADMIN, stored[ADMIN])
    for account in (BATCH, WORKER):
        if _request(port, (account, stored[account]), "GET", "2.0/mlflow/users/current")[0] == _OK:
            continue
        fields = {"username": account, "password": stored[account]}
        status, answer = _request(port, admin, "POST", "2.0/mlflow/users/create", fields)
        if answer.get("error_code") == _EXISTS:
            status, answer = _request(port, admin, "PATCH", "2.0/mlflow/users/update-password", fields)
        _require(status == _OK, f"account {account}", answer)
    for kind in ("registered_model", "experiment"):
        grant = {"username": BATCH, "resource_type": kind, "resource_id": "*", "permission": "MANAGE"}
        status, answer = _request(port, admin, "POST", "3.0/mlflow/users/permissions/grant", grant)
        _require(status == _OK or answer.get("error_code") == _EXISTS, f"rights of account {BATCH}", answer)


def _request(
    port: int, account: tuple[str, str], method: str, path: str, body: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of a response; an empty object if it is not JSON."""
    login = base64.b64encode(":".join(account).encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request(method, f"/api/{path}", None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        try:
            fields = json.loads(text)
        except ValueError:
            fields = {}
        return response.status, fields if isinstance(fields, dict) else {}
    except (OSError, http.client.HTTPException) as error:
        raise StackError("MLflow", f"it does not answer {method} {path}: {error}", "See its log.") from error
    finally:
        connection.close()


def _require(is_done: bool, thing: str, answer: Mapping[str, Any]) -> None:
    if not is_done:
        cause = f"the server refuses it: {answer.get('error_code', 'no reason')} {answer.get('message', '')}".strip()
        raise StackError(f"MLflow, {thing}", cause, "See its log.")
