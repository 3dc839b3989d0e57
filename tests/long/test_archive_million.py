"""Archive a million comments with the benchmark command in bounded memory and time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GIBIBYTE = 1024**3


def archive(folder: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "cli.main", "bench", "archive", "--json", "--data-folder", str(folder)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=1_200, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


@pytest.mark.proof
def test_a_million_comments_are_archived_in_bounded_time_and_memory(tmp_path: Path) -> None:
    figures = archive(tmp_path / "bench")
    assert figures["rows"] == 1_000_000
    assert abs(figures["settings"]["mean_characters"] - 321) < 1
    assert figures["seconds"] < 240  # four times what an idle machine of two cores is asked for
    assert figures["peak_rss_bytes"] < GIBIBYTE
    assert figures["files"] >= figures["settings"]["partitions"]
    assert not (tmp_path / "bench").exists()


@pytest.mark.proof
def test_records_of_maximum_size_need_no_more_memory(tmp_path: Path) -> None:
    figures = archive(tmp_path / "bench", "--comments", "20000", "--characters", "39000")
    assert figures["rows"] == 20_000
    assert figures["value_bytes"] > 0.7 * GIBIBYTE
    assert figures["peak_rss_bytes"] < GIBIBYTE
