"""The day that benchmarks of reconciliation use, and its reconciliation in a process whose memory is measured."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from local.stack.environment import inherited_environment
from local.stack.worker import settings_environment
from moderation.errors import StackError
from moderation.settings import Settings
from moderation.timestamps import day_bounds_us

DAY = date(2026, 1, 15)
START_US, _ = day_bounds_us(DAY)
PARTITIONS = 4
_SAMPLE_SECONDS = 0.05
TABLE_PARTITION = (
    f"CREATE TABLE speed.decisions_bench PARTITION OF speed.decisions FOR VALUES FROM ('{DAY}') TO ('{DAY}'::date + 1)"
)
PANES = """
INSERT INTO speed.panes
SELECT topic_id, partition, community, event_time_us - event_time_us % 300000000, model_version, policy_version,
       count(*) FILTER (WHERE fate = 'counted'), count(*) FILTER (WHERE fate = 'counted' AND verdict = 'review'),
       count(*) FILTER (WHERE fate = 'counted' AND verdict = 'remove'),
       coalesce(sum(score_ppm) FILTER (WHERE fate = 'counted'), 0), count(*) FILTER (WHERE fate = 'late'), min("offset")
  FROM speed.decisions GROUP BY 1, 2, 3, 4, 5, 6
"""


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One reconciliation in a process of its own."""

    seconds: float
    report: dict[str, Any]
    peak_rss_bytes: int


def measure(settings: Settings, mode: str, scored: Path | None = None) -> MeasuredRun:
    """Reconcile the day in a process.

    Args:
        settings: of the process.
        mode: ``full`` or ``digests``.
        scored: folder of recomputed records; None to score those of the lake.

    Raises:
        StackError: the process fails.
    """
    begun = time.monotonic()
    with _process(settings, mode, scored) as (process, most):
        output, _ = process.communicate()
    seconds = time.monotonic() - begun
    if process.returncode:
        raise StackError("reconciliation", f"its process ended with exit code {process.returncode}")
    return MeasuredRun(seconds, json.loads(output), most[0])


@contextmanager
def _process(settings: Settings, mode: str, scored: Path | None) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """Run a reconciliation in a process; yield it with the peak memory of it and its children."""
    most, folders = [0], [] if scored is None else [scored]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "local.bench.measured_reconcile", DAY.isoformat(), mode, *map(str, folders)],
        env={**inherited_environment(), **settings_environment(settings)},
        stdout=subprocess.PIPE,
    )

    def watch() -> None:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                tree = [root, *root.children(recursive=True)]
                most[0] = max(most[0], sum(each.memory_info().rss for each in tree))
            except psutil.NoSuchProcess:
                continue
            time.sleep(_SAMPLE_SECONDS)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield process, most
    finally:
        process.kill()
        process.wait(30)
        watcher.join(10)
