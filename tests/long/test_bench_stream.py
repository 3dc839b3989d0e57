"""Benchmarks of the stream with few comments: the documented commands work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def bench(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a benchmark and return its figures."""
    command = [sys.executable, "-P", "-m", "cli.main", "bench", *arguments, "--json", "--data-folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert not folder.exists()
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


@pytest.mark.long
def test_the_worker_is_measured(tmp_path: Path) -> None:
    figures = bench(
        *(tmp_path / "bench", "stream", "--only", "worker", "--comments", "60000", "--rounds", "1"),
        *("--latency-seconds", "0"),
    )
    assert figures["worker_per_s"] > 0


@pytest.mark.proof
@pytest.mark.budget(240)
def test_every_design_is_measured(tmp_path: Path) -> None:
    figures = bench(tmp_path / "bench", "stream", "--comments", "60000", "--rounds", "1", "--latency-seconds", "0")
    designs = {"worker", "worker2", "faust_per_event", "talk_design", "confluent_loop"}
    assert figures["rounds_per_s"].keys() == designs
    assert all(rate > 0 for rates in figures["rounds_per_s"].values() for rate in rates)


@pytest.mark.proof
def test_memory_is_measured(tmp_path: Path) -> None:
    assert bench(tmp_path / "bench", "soak", "--comments", "10000")["records"] == 10_000
