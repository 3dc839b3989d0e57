"""Recompute the files of a day in several processes, each file once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import pyarrow.parquet as pq

from batch.progress import OnProgress
from batch.reconcile.file_tasks import FileTask
from batch.reconcile.kept_rows import KeptRows, key_of
from batch.reconcile.recompute import SCHEMA, FileRecomputer, OpenVersion
from batch.record_isolation import Failure, report_failures
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.verification import check_file
from moderation.bootstrap import deciding_version_opener
from moderation.errors import ProcessDied
from moderation.settings import Settings

_ALONE_ROWS = 20_000
"""Up to this number of records, one process is faster than starting others."""


@dataclass(frozen=True, slots=True)
class RecomputeResult:
    """Result of a recomputation.

    Attributes:
        rows: number of records of the day.
        failures: records of the day that cannot be scored, and records appended on that day that cannot be parsed,
            because of a defect; in order of position.
        reused: number of files whose records were kept.
    """

    rows: int
    failures: list[Failure]
    reused: int = 0


def recompute_files(
    tasks: Sequence[FileTask],
    settings: Settings,
    folder: Path,
    on_progress: OnProgress,
    processes: int | None = None,
    kept: KeptRows | None = None,
) -> RecomputeResult:
    """Write the recomputed records as Parquet files, one for each task.

    A record that cannot be scored gets a row with score 0 and verdict ``allow``; one that cannot be parsed gets none.

    Args:
        tasks: see :func:`batch.reconcile.file_tasks.plan_file_tasks`.
        settings: where lake and registry are.
        folder: for the files.
        on_progress: receives one line at each step.
        processes: number of processes. If None, one for each core, or only this one for few records.
        kept: has the records of files that were recomputed before with the same inputs, and gets the others; None for
            none. Files of the lake are verified nevertheless.

    Raises:
        ModelRefused: a version that served does not verify, or has another kernel version.
        LakeDamaged: a file is missing or not what was written.
        ProcessDied: a process ended without an error; the message names the unfinished files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(SCHEMA.empty_table(), folder / "none.parquet")
    work = [(task, folder / f"{number}.parquet") for number, task in enumerate(tasks)]
    open_version = cache(deciding_version_opener(settings))
    keys: dict[Path, str] = {}
    written = reused = 0
    if kept is not None:
        keys = {output: key_of(task, open_version) for task, output in work}
        store = LakeStore(settings.lake_url)
        for task, output in list(work):
            if (count := kept.fetch(keys[output], output)) is not None:
                check_file(store, task.file, "digest" if count or not task.unread_only else "size")
                work.remove((task, output))
                written += count
                reused += 1
        if reused:
            on_progress(f"{reused:,} of {len(tasks):,} files were scored before")
    rows = sum(task.file.rows for task, _ in work if not task.unread_only)
    done = 0
    failures: list[Failure] = []
    processes = processes or (1 if rows <= _ALONE_ROWS else os.cpu_count() or 1)
    for task, output, (count, failed) in _results(work, settings, open_version, processes):
        done += 0 if task.unread_only else task.file.rows
        written += count
        failures += failed
        if kept is not None and not failed:
            kept.store(keys[output], output, count)
        on_progress(f"scored {done:,} of {rows:,} records of the lake")
    report_failures(sorted(failures), on_progress)
    return RecomputeResult(written, sorted(failures), reused)


def _results(
    work: Sequence[tuple[FileTask, Path]], settings: Settings, open_version: OpenVersion, processes: int
) -> Iterator[tuple[FileTask, Path, tuple[int, list[Failure]]]]:
    if processes == 1 or not work:
        recomputer = FileRecomputer(LakeStore(settings.lake_url), open_version)
        for task, output in work:
            yield task, output, (recomputer.run(task, output), recomputer.take_failures())
        return
    # A forked process would inherit threads and connections in an undefined state.
    with ProcessPoolExecutor(processes, get_context("spawn"), _start_process, (settings,)) as pool:
        waiting = {pool.submit(_run_in_process, task, output): (task, output) for task, output in work}
        unfinished = dict.fromkeys(task.file.path for task, _ in work)
        try:
            for future in as_completed(waiting):
                (task, output), result = waiting[future], future.result()
                del unfinished[task.file.path]
                yield task, output, result
        except BrokenExecutor as error:
            raise ProcessDied(
                f"{len(unfinished)} files of the lake, the first {next(iter(unfinished))}",
                "a process that recomputed them ended without an error: it crashed or ran out of memory",
                "If it ends there again, a record is the cause: see docs/reconciliation.md, Records that fail.",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_recomputer: FileRecomputer | None = None


def _start_process(settings: Settings) -> None:
    global _recomputer
    _recomputer = FileRecomputer(LakeStore(settings.lake_url), deciding_version_opener(settings))


def _run_in_process(task: FileTask, output: Path) -> tuple[int, list[Failure]]:
    if _recomputer is None:
        raise RuntimeError("the process was not prepared")
    return _recomputer.run(task, output), _recomputer.take_failures()
