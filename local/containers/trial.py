"""Run ``docker-compose.yaml`` in the engine from the first start to an upgrade, and check each step.

Checks run in their order and build on each other. A failed check is reported, and the others run.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.containers.checks.backup import backup_and_restore
from local.containers.checks.batch_layer import airflow, dashboards
from local.containers.checks.chart import pods_of_the_chart
from local.containers.checks.commands import documented_commands
from local.containers.checks.demonstration import demonstration
from local.containers.checks.disk import full_volume
from local.containers.checks.first_model import bootstrap_model
from local.containers.checks.kills import killed_servers, killed_worker
from local.containers.checks.start import first_start, jobs_without_no_deps, published_ports, taken_port
from local.containers.checks.system import System
from local.containers.checks.tls import tls
from local.containers.checks.upgrade import upgrade
from local.containers.checks.workers import parked_worker, prometheus, stop_under_load, two_workers
from local.containers.folders import Folders
from local.containers.project import Project

Check = Callable[[System], dict[str, Any]]

CHECKS: tuple[Check, ...] = (
    *(taken_port, first_start, published_ports, jobs_without_no_deps, demonstration, two_workers, prometheus, airflow),
    *(
        dashboards,
        pods_of_the_chart,
        documented_commands,
        parked_worker,
        killed_worker,
        killed_servers,
        stop_under_load,
        backup_and_restore,
        full_volume,
        upgrade,
        tls,
    ),
)
"""All checks, in their order."""
SHORT: tuple[Check, ...] = (first_start, bootstrap_model)
"""The start, and one pass of a comment through every server of the speed layer."""
SHORT_TARGETS = ("object-store", "mlflow", "worker", "batch")
"""Targets that the short run needs; only the batch image can register a model."""
SHORT_STAND_INS = ("debian", "python", "airflow", "seaweedfs", "kafka", "postgres")


@dataclass(frozen=True, slots=True)
class Checked:
    """Outcome of a check.

    Attributes:
        name: of the check.
        passed: whether everything was as promised.
        seconds: duration.
        seen: figures and texts; with ``error`` if it failed.
    """

    name: str
    passed: bool
    seconds: float
    seen: dict[str, Any]


class Trial:
    """Checks of one run, in their order.

    Args:
        folders: of the engine.
        checks: those that the run consists of.
        only: names of checks to run on the containers that an earlier run left; all, from an empty state, if empty.
        keep: whether containers and volumes stay.
    """

    def __init__(
        self, folders: Folders, checks: Sequence[Check] = CHECKS, only: Sequence[str] = (), *, keep: bool = False
    ) -> None:
        self._checks = [check for check in checks if not only or check.__name__ in only]
        self._is_continued = bool(only)
        self._keep = keep or bool(only)
        self.system = System(folders, Project(folders, again=bool(only)))

    def run(self, on_progress: Callable[[str], None]) -> Iterator[Checked]:
        """Run the checks; all of them from an empty state, and remove containers and volumes afterwards."""
        project = self.system.project
        project.write_env()
        if not self._is_continued:
            project.compose("down", "--volumes", "--remove-orphans")
            project.remove_env()  # an earlier run may have set the number of workers
            project.write_env()
        try:
            for check in self._checks:
                on_progress(check.__name__)
                outcome = self._outcome(check)
                on_progress(
                    f"{outcome.name}: {'passed' if outcome.passed else 'FAILED'} in {outcome.seconds} s "
                    f"{json.dumps(outcome.seen)}"
                )
                yield outcome
        finally:
            if not self._keep:
                project.compose("down", "--volumes", "--remove-orphans")

    def _outcome(self, check: Check) -> Checked:
        """Run a check; an error becomes its outcome."""
        begun, passed = time.monotonic(), False
        try:
            seen = check(self.system)
            passed = True
        except Exception as raised:
            where = traceback.extract_tb(raised.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            seen = {"error": f"{type(raised).__name__}: {raised}", "raised_at": place}
        return Checked(check.__name__, passed, round(time.monotonic() - begun, 1), seen)
