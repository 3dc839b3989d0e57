"""Chaos command: no defect after minutes of faults, and each sabotage is detected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.chaos.plan import Fault, alias_moves
from local.chaos.run import SABOTAGES
from local.oracle import FAULTS
from tests.support.java import why_no_spark

# Expected defect of each sabotage. It may change further figures: a dropped record is also missing in the panes.
SHOWS_AS = {
    "drop": "lost",
    "double": "doubled",
    "pane": "pane_mismatches",
    "unpublished": "topic_gaps",
    "late": "fate_mismatches",
}
# And its cause in the reconciliation, if batch and speed differ by it.
DEFECT_OF = {"drop": "lost", "pane": "residual", "late": "unexplained"}


def chaos(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-P", "-m", "cli.main", "chaos", "--json", "--data-folder", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_500, check=False)
    assert done.stdout, done.stderr[-2_000:]
    figures: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, figures


@pytest.mark.parametrize(
    ("minutes", "rate", "options"),
    [
        # Half the records of a full run, because restarting workers use the processor.
        pytest.param(2, 200, [], marks=pytest.mark.long, id="DuckDB"),
        # Its eight days take Spark longer than the faults; test_reconcile_spark compares engines on other faults.
        pytest.param(3, 400, ["--spark"], marks=pytest.mark.proof, id="and Spark"),
    ],
)
@pytest.mark.alone
@pytest.mark.budget(420)
def test_minutes_of_every_fault_leave_nothing_lost_doubled_or_miscounted(
    minutes: int, rate: int, options: list[str], tmp_path: Path
) -> None:
    if "--spark" in options and (why := why_no_spark()) is not None:
        pytest.skip(why)
    exit_code, figures = chaos(tmp_path / "stack", "--minutes", str(minutes), "--rate", str(rate), *options)
    assert {name: figures[name] for name in FAULTS} == dict.fromkeys(FAULTS, 0), json.dumps(figures)
    for name in ("not_reached", "ended_workers", "never_recovered", "quarantined"):
        assert not figures[name], json.dumps(figures)
    assert exit_code == 0, json.dumps(figures)
    hostile = figures["hostile"]
    for kind in ("transaction committed", "transaction aborted", "transaction left open", "odd header names"):
        assert hostile[kind] > 0, hostile
    assert figures["unreadable_offsets"] >= hostile["huge batch"] > 0
    assert figures["hole_offsets"] > figures["unreadable_offsets"]
    assert figures["records"] >= minutes * 60 * rate
    assert figures["faults"].keys() >= {fault.value for fault in Fault}
    assert figures["faults"]["alias_move"] >= alias_moves(minutes)
    reconciled = figures["reconciled"]
    assert {"lost", "unexplained", "phantom", "residual", "not_recomputed"} <= reconciled["defects"].keys()
    assert not any(reconciled["defects"].values()), reconciled
    assert reconciled["days"] == reconciled["final"] > 0, reconciled
    assert reconciled["with_spark"] == (reconciled["days"] if "--spark" in options else 0)
    assert reconciled["engines_differ"] == 0
    # Despite all faults, batch and speed differ only by comments that were sent late.
    assert {cause for cause, rows in reconciled["causes"].items() if rows} == {"late"}, reconciled
    assert reconciled["batch_comments"] - reconciled["speed_comments"] == reconciled["causes"]["late"], reconciled
    assert not (tmp_path / "stack").exists()


@pytest.mark.proof  # the oracle's own tests have all kinds, test_worker and test_reconcile_faults some on real servers
@pytest.mark.parametrize("kind", SABOTAGES)
@pytest.mark.budget(180)
def test_each_sabotage_is_seen(kind: str, tmp_path: Path) -> None:
    exit_code, figures = chaos(tmp_path / "stack", "--sabotage", kind)
    assert figures[SHOWS_AS[kind]] > 0, figures
    defects = {name for name, count in figures["reconciled"]["defects"].items() if count}
    assert defects == ({DEFECT_OF[kind]} if kind in DEFECT_OF else set()), figures
    assert exit_code == 3
