"""``docker/demo.py`` (`make compose-demo`): every step of the system, and its summary."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Any

from local.containers.checks.system import System, require
from local.containers.folders import CHECKOUT
from local.containers.processes import run

_SECONDS = 1_800


def demonstration(system: System) -> dict[str, Any]:
    """One command trains, decides, archives, reconciles, retrains and promotes; each record is stored once.

    The worker fetches both models through the MLflow server, because it cannot reach the object store. It serves the
    second one without a restart.
    """
    project = system.project
    worker = project.containers("worker")[0]
    command = [sys.executable, str(CHECKOUT / "docker" / "demo.py"), "--no-build", "--json"]
    printed = run([*command, "--compose", shlex.join(project.prefix())], seconds=_SECONDS)
    summary: dict[str, Any] = json.loads(printed)
    require(summary["is_promoted"], f"the new version was not promoted: {summary['reasons']}")
    versions = {summary["first_version"], summary["new_version"]}
    require(set(summary["decided_by_version"]) == versions, f"decisions are by {summary['decided_by_version']}")
    reconciled = summary["reconciled"]
    require(reconciled["speed_comments"] > 0 == sum(reconciled["defects"].values()), f"reconciled: {reconciled}")
    again = project.containers("worker")[0]
    same = [(each["Id"], each["RestartCount"], each["State"]["StartedAt"]) for each in (worker, again)]
    require(same[0] == same[1], "the worker was restarted")
    system.require_once()
    return summary
