"""DAG ``retrain_model``: the topic it listens to, and what its first task passes to the second."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


LISTENING = """
import json, sys
from pathlib import Path
from airflow.dag_processing.dagbag import BundleDagBag
bag = BundleDagBag(sys.argv[1], bundle_path=Path(sys.argv[1]).parent)
assets = bag.dags["retrain_model"].timetable.asset_condition.objects
triggers = [watcher.trigger.serialize()[1] for each in assets for watcher in each.watchers]
print("\\n" + json.dumps([topic for each in triggers for topic in each["topics"]]))
"""


def run(program: str, home: Path, **settings: str) -> object:
    """Return what a program on the DAG file prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(ROOT / "dags" / "retrain_model.py")],
        env={"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **settings},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    answer: object = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_the_gate_uses_the_margin_of_the_retraining_and_not_the_default(tmp_path: Path) -> None:
    assert run(PROGRAM, tmp_path) == ["4", 0.2]


@pytest.mark.parametrize("prefix", ["", "here-"])
def test_requests_are_read_from_the_topic_with_the_prefix(prefix: str, tmp_path: Path) -> None:
    assert run(LISTENING, tmp_path, MODERATION_TOPIC_PREFIX=prefix) == [f"{prefix}retrain-requests"]
