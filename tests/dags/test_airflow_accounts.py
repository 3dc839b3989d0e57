"""Both auth managers ask for the role of an approver where a promotion could be decided, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# Airflow runs in a process of its own. What the roles of Airflow itself allow is answered with yes.
PROGRAM = """
import json, types, warnings
warnings.simplefilter("ignore")
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from local.access.fab_accounts import ApprovingFabAuthManager
from local.access.simple_accounts import ApprovingSimpleAuthManager

ApprovingFabAuthManager.__base__.is_authorized_dag = lambda self, **asked: True
def fab_user(*roles):
    return types.SimpleNamespace(roles=[types.SimpleNamespace(name=role) for role in roles])
def simple_user(role):
    return types.SimpleNamespace(role=role, teams=None)
users = [(ApprovingFabAuthManager, fab_user(*roles), " ".join(roles))
         for roles in (("User",), ("User", "Approver"), ("Op",), ("Admin",), ())]
users += [(ApprovingSimpleAuthManager, simple_user(role), role) for role in ("viewer", "user", "op", "admin", "")]
found = {}
for manager, user, name in users:
    asks = object.__new__(manager)
    allowed = []
    for entity in (*DagAccessEntity, None):
        for dag_id in ("promote_model", "archive_topics"):
            details = DagDetails(id=dag_id)
            if asks.is_authorized_dag(method="PUT", user=user, access_entity=entity, details=details):
                allowed.append(f"{entity.name if entity else 'DAG'} {dag_id}")
    found[f"{manager.__name__} {name}"] = allowed
print("\\n" + json.dumps(found))
"""
GUARDED = {f"{entity} promote_model" for entity in ("HITL_DETAIL", "TASK_INSTANCE", "XCOM")}


def test_only_approvers_decide_on_promotions(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM],
        env={"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found = {name: set(allowed) for name, allowed in json.loads(done.stdout.splitlines()[-1]).items()}
    everything = found["ApprovingFabAuthManager Admin"]
    assert everything > GUARDED
    for name in (
        "FabAuthManager User Approver",
        "FabAuthManager Op",
        "SimpleAuthManager op",
        "SimpleAuthManager admin",
    ):
        assert found[f"Approving{name}"] == everything, name
    for name in ("FabAuthManager User", "FabAuthManager ", "SimpleAuthManager user"):
        assert found[f"Approving{name}"] == everything - GUARDED, name
    for name in ("SimpleAuthManager viewer", "SimpleAuthManager "):
        assert found[f"Approving{name}"] == set(), name
