"""What one task of ``retrain_model`` hands to the next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# Airflow is kept out of this process; the step is replaced by one that returns what it was given.
PROGRAM = """
import json, sys, types
from airflow.dag_processing.dagbag import DagBag
steps = sys.modules["batch.retrain.tasks"] = types.ModuleType("batch.retrain.tasks")
steps.gate = lambda *given: given
gate = DagBag(sys.argv[1]).dags["retrain_model"].get_task("gate").python_callable
print("\\n" + json.dumps(gate({"version": "4", "auc_margin": 0.2})))
"""


def test_the_gate_judges_by_the_margin_of_the_retraining_and_not_by_the_forms(tmp_path: Path) -> None:
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
