"""An approval waits on while what it asks about is current, and ends as skipped when it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# Airflow runs in a process of its own. Requests to its server are counted, not sent.
PROGRAM = """
import json, sys, types
from datetime import UTC, datetime, timedelta
sys.path.insert(0, sys.argv[1])
import _approval
from airflow.sdk.exceptions import AirflowSkipException, TaskAwaitingInput

causes, asked, sent = [], [], []
source = sys.modules["source"] = types.ModuleType("source")
source.outdated = lambda shown: causes[-1] if causes else None
_approval.upsert_hitl_detail = lambda **request: asked.append(request["subject"])
import airflow.providers.standard.operators.hitl as hitl
hitl.upsert_hitl_detail = _approval.upsert_hitl_detail
_approval.Announce.notify = lambda self, context: sent.append(self.event)

approve = _approval.CurrentApproval(task_id="approve", shown_by="show", outdated="source:outdated")
ti = types.SimpleNamespace(id=1, xcom_pull=lambda name: {"version": "2"})
def context(age):
    run = types.SimpleNamespace(start_date=datetime.now(UTC) - age)
    return {"task_instance": ti, "ti": ti, "dag_run": run, "task": approve}
def outcome(age, event=None):
    method = approve.execute if event is None else lambda given: approve.execute_complete(given, event)
    try:
        return method(context(age))
    except TaskAwaitingInput as waits:
        return ["waits", round(waits.timeout.total_seconds())]
    except AirflowSkipException as skipped:
        return ["skipped", str(skipped)]

def answer(option, timedout, user=None):
    return {"chosen_options": [option], "params_input": {}, "responded_at": datetime.now(UTC),
            "responded_by_user": user, "timedout": timedout}
hour, default = timedelta(hours=1), answer("Reject", True)
found = {
    "asked": outcome(timedelta()),
    "sent": list(sent),
    "current": outcome(hour, default),
    "removed": len(asked),
    "last": outcome(timedelta(days=2) - timedelta(seconds=30), default),
    "late": outcome(timedelta(days=2, seconds=1), default)["chosen_options"],
    "approved": outcome(hour, answer("Approve", False, {"id": "1", "name": "ann"}))["responded_by_user"]["name"],
}
causes.append("version 3 is challenger by now")
found["outdated"] = outcome(hour, default)
found["sent again"] = len(sent) - 1
print("\\n" + json.dumps(found))
"""


def test_an_approval_waits_while_it_is_current_and_is_skipped_when_it_is_not(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(ROOT / "dags")],
        env={"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "asked": ["waits", 600],
        "sent": ["approval"],
        "current": ["waits", 600],
        "removed": 2,
        "last": ["waits", 30],
        "late": ["Reject"],
        "approved": "ann",
        "outdated": ["skipped", "the approval is out of date: version 3 is challenger by now"],
        "sent again": 0,
    }
