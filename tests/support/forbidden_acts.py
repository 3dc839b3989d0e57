"""Acts that accounts of MLflow and Airflow must not be able to do, as requests to the real servers."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.stack.ports import HOST

REFUSED = frozenset({401, 403})
_Rows = tuple[tuple[str, str, str, Mapping[str, Any] | None], ...]
_V2, _V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"


@dataclass(frozen=True, slots=True)
class Act:
    """One request that must be refused.

    Attributes:
        who: account; an empty text for none.
        name: what the request would do.
        method: of HTTP.
        path: with the names in braces that :func:`filled` replaces.
        body: JSON, with names in braces as well.
    """

    who: str
    name: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.who or 'nobody'}: {self.name}"


def filled(value: Any, names: Mapping[str, str]) -> Any:
    """Return a text, or a structure of texts, with each ``{name}`` replaced."""
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, dict):
        return {key: filled(inner, names) for key, inner in value.items()}
    return [filled(inner, names) for inner in value] if isinstance(value, list) else value


_CHANGES_OF_MODELS: _Rows = (
    ("create a model", "POST", f"{_V2}/registered-models/create", {"name": "{model}-other"}),
    ("register a version", "POST", f"{_V2}/model-versions/create", {"name": "{model}", "source": "{source}"}),
    (
        "move the alias production",
        "POST",
        f"{_V2}/registered-models/alias",
        {"name": "{model}", "alias": "production", "version": "{version}"},
    ),
    ("remove the alias production", "DELETE", f"{_V2}/registered-models/alias?name={{model}}&alias=production", None),
    (
        "let a version serve by override",
        "POST",
        f"{_V2}/model-versions/set-tag",
        {"name": "{model}", "version": "{version}", "key": "moderation.override", "value": "x until 2999-01-01T00:00Z"},
    ),
    (
        "remove a certificate",
        "DELETE",
        f"{_V2}/model-versions/delete-tag",
        {"name": "{model}", "version": "{version}", "key": "moderation.certificate_2"},
    ),
    ("delete a version", "DELETE", f"{_V2}/model-versions/delete", {"name": "{model}", "version": "{version}"}),
    ("delete the model", "DELETE", f"{_V2}/registered-models/delete", {"name": "{model}"}),
    ("rename the model", "POST", f"{_V2}/registered-models/rename", {"name": "{model}", "new_name": "{model}-2"}),
    ("tag the model", "POST", f"{_V2}/registered-models/set-tag", {"name": "{model}", "key": "a", "value": "b"}),
    ("create an experiment", "POST", f"{_V2}/experiments/create", {"name": "{model}-experiment"}),
    ("start a run", "POST", f"{_V2}/runs/create", {"experiment_id": "{experiment}"}),
    ("upload an artifact", "PUT", "/api/2.0/mlflow-artifacts/artifacts/{artifact}", None),
    ("delete an artifact", "DELETE", "/api/2.0/mlflow-artifacts/artifacts/{artifact}", None),
)
_CHANGES_OF_ACCOUNTS: _Rows = (
    ("create an account", "POST", f"{_V2}/users/create", {"username": "{model}", "password": "long-enough-for-it"}),
    (
        "change the administrator's password",
        "PATCH",
        f"{_V2}/users/update-password",
        {"username": "admin", "password": "long-enough-for-it"},
    ),
    ("become an administrator", "PATCH", f"{_V2}/users/update-admin", {"username": "{who}", "is_admin": True}),
    ("delete the administrator", "DELETE", f"{_V2}/users/delete", {"username": "admin"}),
    ("create a role", "POST", f"{_V3}/roles/create", {"name": "{model}", "workspace": "default"}),
)
_READS: _Rows = (
    ("read a version", "GET", f"{_V2}/model-versions/get?name={{model}}&version={{version}}", None),
    ("read the alias production", "GET", f"{_V2}/registered-models/alias?name={{model}}&alias=production", None),
    ("download an artifact", "GET", "/api/2.0/mlflow-artifacts/artifacts/{artifact}", None),
    ("open the user interface", "GET", "/", None),
    ("query by GraphQL", "POST", "/graphql", {"query": "{ __typename }"}),
)
MLFLOW_ACTS = (
    *(Act("", *act) for act in (*_CHANGES_OF_MODELS, *_CHANGES_OF_ACCOUNTS, *_READS)),
    *(Act("worker", *act) for act in (*_CHANGES_OF_MODELS, *_CHANGES_OF_ACCOUNTS)),
    Act("worker", "open the user interface", "GET", "/"),
    Act("worker", "query by GraphQL", "POST", "/graphql", {"query": "{ __typename }"}),
    Act("worker", "read the runs of an experiment", "POST", f"{_V2}/runs/search", {"experiment_ids": ["{experiment}"]}),
    Act(
        "worker",
        "grant itself the model",
        "POST",
        f"{_V3}/users/permissions/grant",
        {"username": "worker", "resource_type": "registered_model", "resource_id": "{model}", "permission": "MANAGE"},
    ),
    *(Act("batch", *act) for act in _CHANGES_OF_ACCOUNTS),
)
MLFLOW_READS = tuple(Act("worker", *act) for act in _READS[:3])
"""What the account ``worker`` may do."""

_TASK = "/api/v2/dags/promote_model/dagRuns/{run}/taskInstances/approve"
_XCOM = "/api/v2/dags/promote_model/dagRuns/{run}/taskInstances/approve/xcomEntries"
_DECISIONS: _Rows = (
    ("approve a promotion", "PATCH", f"{_TASK}/-1/hitlDetails", {"chosen_options": ["Approve"], "params_input": {}}),
    ("reject a promotion", "PATCH", f"{_TASK}/-1/hitlDetails", {"chosen_options": ["Reject"], "params_input": {}}),
    ("mark the approval as successful", "PATCH", _TASK, {"new_state": "success"}),
    (
        "mark approvals of all DAGs as successful",
        "PATCH",
        "/api/v2/dags/~/dagRuns/~/taskInstances",
        {
            "actions": [
                {
                    "action": "update",
                    "entities": [
                        {
                            "dag_id": "promote_model",
                            "dag_run_id": "{run}",
                            "task_id": "approve",
                            "new_state": "success",
                        }
                    ],
                }
            ]
        },
    ),
    (
        "clear the approval",
        "POST",
        "/api/v2/dags/promote_model/clearTaskInstances",
        {"dry_run": False, "dag_run_id": "{run}", "task_ids": ["approve"], "only_failed": False},
    ),
    (
        "write the answer of the approval",
        "POST",
        _XCOM,
        {"key": "return_value", "value": {"chosen_options": ["Approve"]}},
    ),
    ("change what was shown", "PATCH", _XCOM.replace("approve", "show") + "/return_value", {"value": {"version": "1"}}),
)
_ADMINISTRATION: _Rows = (
    ("read the Kafka connection", "GET", "/api/v2/connections/kafka_default", None),
    ("create a connection", "POST", "/api/v2/connections", {"connection_id": "x", "conn_type": "http"}),
    ("set a variable", "POST", "/api/v2/variables", {"key": "x", "value": "y"}),
)
_TRIGGERS: _Rows = (
    ("trigger a promotion", "POST", "/api/v2/dags/promote_model/dagRuns", {"logical_date": None, "conf": {}}),
    ("trigger a rollback", "POST", "/api/v2/dags/rollback_model/dagRuns", {"logical_date": None, "conf": {}}),
    ("pause a DAG", "PATCH", "/api/v2/dags/archive_topics", {"is_paused": True}),
)
AIRFLOW_ACTS = (
    *(Act("", *act) for act in (*_DECISIONS, *_ADMINISTRATION, *_TRIGGERS)),
    Act("", "list the DAGs", "GET", "/api/v2/dags"),
    *(Act("viewer", *act) for act in (*_DECISIONS, *_ADMINISTRATION, *_TRIGGERS)),
    *(Act("user", *act) for act in (*_DECISIONS, *_ADMINISTRATION)),
)


def basic(account: str, password: str) -> dict[str, str]:
    """Return the header with which an account logs in at MLflow."""
    return {"Authorization": "Basic " + base64.b64encode(f"{account}:{password}".encode()).decode()}


def status_of(port: int, act: Act, names: Mapping[str, str], headers: Mapping[str, str]) -> int:
    """Send the request of an act; return the status of the response."""
    body = filled(act.body, {**names, "who": act.who})
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(
            act.method,
            filled(act.path, names),
            None if body is None else json.dumps(body),
            {"Content-Type": "application/json", **headers},
        )
        return connection.getresponse().status
    finally:
        connection.close()
