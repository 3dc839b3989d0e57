"""Authorization of the MLflow server: the account ``worker`` reads versions and downloads artifacts, and nothing else.

MLflow's basic authentication lets every account create experiments and models. This function, which the file of
accounts names as ``authorization_function``, refuses every other request of the read-only accounts before MLflow looks
at its permissions. The image of the MLflow server contains this file and nothing else of the project.
"""

from __future__ import annotations

import re
from typing import Any

from flask import make_response, request
from werkzeug.datastructures import Authorization

READERS = frozenset({"worker"})
"""Accounts that may only read."""
READABLE = re.compile(
    r"/(ajax-)?api/2\.0/mlflow/registered-models/(get|alias|search)"
    r"|/(ajax-)?api/2\.0/mlflow/model-versions/(get|get-download-uri|search)"
    r"|/(ajax-)?api/2\.0/mlflow/users/current"
    r"|/(ajax-)?api/2\.0/mlflow-artifacts/artifacts(/.*)?"
)
"""Paths that they may GET. MLflow's own permissions apply as well."""
FORBIDDEN = 403


def authenticate() -> Any:
    """Return the authorization of the current request, or the response that refuses it."""
    from mlflow.server.auth import authenticate_request_basic_auth  # the server, which has imported it already

    authorization = authenticate_request_basic_auth()
    if not isinstance(authorization, Authorization) or authorization.username not in READERS:
        return authorization
    if request.method == "GET" and READABLE.fullmatch(request.path):
        return authorization
    return make_response(
        f"Permission denied: account {authorization.username} may only read versions and download artifacts", FORBIDDEN
    )
