"""Benchmark of own data: import and training of large CSV files, each in a process of its own.

The files contain texts of the generator. Every text has its number, so that no two rows are the same.
"""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from batch.progress import OnProgress
from local.stack.environment import inherited_environment
from moderation.datasets.synthetic import TrafficConfig, labelled_history
from moderation.errors import StackError
from moderation.timestamps import moment_of

_SAMPLE_SECONDS = 0.05
_COMMENTS_PER_DAY = 20_000


def bench_own_data(sizes: Sequence[int], sample: int, on_progress: OnProgress) -> dict[str, Any]:
    """Import files of these sizes, and train on them.

    Args:
        sizes: numbers of rows, in ascending order.
        sample: largest number of comments that the training uses; 0 for all.
        on_progress: receives one line at each step.

    Returns:
        ``rows``; ``bytes`` of each file; ``import`` and ``train``: for each file ``seconds``, ``cpu_seconds``,
        ``peak_rss_bytes`` of the process, and of imports ``rows_per_s``; ``import_grown_bytes_per_row``, the memory
        that the largest file needs more than the smallest; ``trained_on`` and ``auc_mean`` for each file;
        ``settings``.

    Raises:
        StackError: a command fails, or it does not use every row.
    """
    sizes_bytes, imports, trainings = [], [], []
    trained_on, auc = [], []
    with tempfile.TemporaryDirectory(prefix="moderation-own-data-") as folder:
        for rows in sizes:
            file = Path(folder) / "comments.csv"
            on_progress(f"writing {rows:,} rows")
            write_rows(file, rows)
            sizes_bytes.append(file.stat().st_size)
            on_progress(f"importing {rows:,} rows")
            printed, measured = _measured("import", str(file), "--out", f"{folder}/history-{rows}")
            _require_all(rows, printed["used"])
            imports.append({**measured, "rows_per_s": round(rows / measured["seconds"])})
            on_progress(f"training on {rows:,} rows")
            printed, measured = _measured(
                "train", str(file), "--out", f"{folder}/model-{rows}", "--sample", str(sample)
            )
            _require_all(rows, printed["import"]["used"])
            trainings.append(measured)
            trained_on.append(printed["metrics"]["comments"])
            auc.append(round(printed["metrics"]["auc_mean"], 4))
    grown_bytes = imports[-1]["peak_rss_bytes"] - imports[0]["peak_rss_bytes"]
    return {
        "rows": list(sizes),
        "bytes": sizes_bytes,
        "import": imports,
        "import_grown_bytes_per_row": round(grown_bytes / max(sizes[-1] - sizes[0], 1), 2),
        "train": trainings,
        "trained_on": trained_on,
        "auc_mean": auc,
        "settings": {"sample": sample, "comments_per_day": _COMMENTS_PER_DAY, "source": "generator"},
    }


def write_rows(path: Path, rows: int) -> None:
    """Write a CSV file of generated comments with id, community, author, time, text and label.

    Args:
        path: the file to write.
        rows: number of rows.
    """
    days = rows // _COMMENTS_PER_DAY + 2
    history = labelled_history(TrafficConfig(days=days, comments_per_day=_COMMENTS_PER_DAY))
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("id", "subreddit", "author", "created_at", "body", "removed"))
        for number, row in enumerate(itertools.islice(history, rows)):
            comment = row.comment
            time_text = moment_of(comment.event_time_us).isoformat()
            author = comment.author_key
            body = f"{comment.body} {number}"
            table.writerow((comment.comment_id, comment.community, author, time_text, body, int(row.removed)))


def _require_all(rows: int, used: int) -> None:
    if used != rows:
        raise StackError("own data", f"{used:,} of {rows:,} rows were used")


def _measured(*arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a command; return what it printed as JSON, and its wall time, CPU time and peak memory."""
    started = time.monotonic()
    process = psutil.Popen(
        [sys.executable, "-P", "-m", "cli.main", *arguments, "--json"],
        env=inherited_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    usage = {"cpu_seconds": 0.0, "peak_rss_bytes": 0}
    has_ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(process, usage, has_ended), daemon=True)
    watch.start()
    printed, messages = process.communicate()
    has_ended.set()
    watch.join()
    if process.returncode:
        lines = messages.decode(errors="replace").strip().splitlines() or ["it printed nothing"]
        raise StackError(f"moderation {arguments[0]}", f"exit code {process.returncode}: {lines[-1]}")
    return json.loads(printed), {"seconds": round(time.monotonic() - started, 1), **usage}


def _watch(process: psutil.Process, usage: dict[str, Any], has_ended: threading.Event) -> None:
    """Write CPU time and peak memory of a process to ``usage`` until it has ended."""
    while not has_ended.wait(_SAMPLE_SECONDS):
        try:
            times = process.cpu_times()
            usage["cpu_seconds"] = round(times.user + times.system, 1)
            usage["peak_rss_bytes"] = max(usage["peak_rss_bytes"], process.memory_info().rss)
        except psutil.Error:
            continue
