"""Benchmark of the batch layer with few rows: it works and finds exactly the injected differences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.proof


def test_the_benchmark_reconciles_its_days_and_reports_the_time(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    command = [sys.executable, "-P", "-m", "cli.main", "bench", "batch", "--json", "--data-folder", str(folder)]
    sizes = ["--rows", "10000", "--rows", "20000", "--rescored", "1000"]
    # It fails when a day has a defect, or not as many late rows and copies as were put in.
    done = subprocess.run([*command, *sizes], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    figures = json.loads(done.stdout)
    assert figures["rows"] == [10_000, 20_000]
    assert all(seconds > 0 for seconds in figures["reconcile_seconds"])
    steps = {"snapshot", "rescoring", "comparison", "keeping"}
    assert [step.keys() for step in figures["step_seconds"]] == [steps, steps]
    assert [step.keys() for step in figures["digest_step_seconds"]] == [steps | {"digests"}] * 2
    assert all(seconds > 0 for seconds in figures["digest_seconds"])
    lake_day = figures["lake_day"]
    assert lake_day.pop("rows") == 1_000
    assert lake_day.keys() == {"full_seconds", "scoring_seconds", "again_seconds"}
    assert all(seconds > 0 for seconds in lake_day.values())
    assert min(figures["growth"], figures["peak_rss_bytes"], figures["rescore_per_s"]) > 0
    settings = {name: figures["settings"][name] for name in ("late_share", "copies_share", "rescored", "engine")}
    assert settings == {"late_share": 0.01, "copies_share": 0.005, "rescored": 1_000, "engine": "duckdb"}
    assert not folder.exists()
