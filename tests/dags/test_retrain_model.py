"""What the first task of ``retrain_model`` passes to the second."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# Airflow runs in a process of its own. A stub replaces the task function and returns its arguments.
PROGRAM = """
import json, sys, types
from pathlib import Path
from airflow.dag_processing.dagbag import BundleDagBag
tasks = sys.modules["batch.retrain.tasks"] = types.ModuleType("batch.retrain.tasks")
tasks.gate = lambda *given: given
bag = BundleDagBag(sys.argv[1], bundle_path=Path(sys.argv[1]).parent)
gate = bag.dags["retrain_model"].get_task("gate").python_callable
print("\\n" + json.dumps(gate({"version": "4", "auc_margin": 0.2})))
"""


def test_the_gate_uses_the_margin_of_the_retraining_and_not_the_default(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(ROOT / "dags" / "retrain_model.py")],
        env={"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert json.loads(done.stdout.splitlines()[-1]) == ["4", 0.2]
