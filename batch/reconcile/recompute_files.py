"""Recompute the files of a day in several processes, each file once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import pyarrow.parquet as pq

from batch.progress import OnProgress
from batch.reconcile.file_tasks import FileTask
from batch.reconcile.kept_rows import KeptRows, key_of, versions_of
from batch.reconcile.recompute import SCHEMA, FileRecomputer, OpenVersion
from batch.record_isolation import Failure, report_failures
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.verification import check_file
from moderation.adapters.model_folder.folder import OpenModel
from moderation.bootstrap import deciding_version_opener, past_version_opener
from moderation.errors import ModelRefused, PastVersionRefused, ProcessDied
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
        unopened: versions that decided and cannot be opened any more, with the reason.
    """

    rows: int
    failures: list[Failure]
    reused: int = 0
    unopened: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _FileResult:
    rows: int
    failures: list[Failure]
    unopened: dict[str, str]


def recompute_files(
    tasks: Sequence[FileTask],
    settings: Settings,
    folder: Path,
    on_progress: OnProgress,
    processes: int | None = None,
    kept: KeptRows | None = None,
    *,
    without_refused: bool = False,
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
        without_refused: do not fail if a version of the past cannot be opened any more: its records get score 0 and
            verdict ``allow``, the result names it, and they are not kept.

    Raises:
        ModelRefused: a version that served does not verify, or has another kernel version.
        LakeDamaged: a file is missing or not what was written.
        ProcessDied: a process ended without an error; the message names the unfinished files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(SCHEMA.empty_table(), folder / "none.parquet")
    work = [(task, folder / f"{number}.parquet") for number, task in enumerate(tasks)]
    open_version = _opener(settings, without_refused)
    keys: dict[Path, str] = {}
    written = reused = 0
    if kept is not None:
        store = LakeStore(settings.lake_url)
        for task, output in list(work):
            try:
                keys[output] = key_of(task, open_version)
            except ModelRefused:
                continue  # refused again below, if records of the day need the version
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
    unopened: dict[str, str] = {}
    processes = processes or (1 if rows <= _ALONE_ROWS else os.cpu_count() or 1)
    for task, output, result in _results(work, settings, open_version, processes, without_refused):
        done += 0 if task.unread_only else task.file.rows
        written += result.rows
        failures += result.failures
        unopened |= result.unopened
        # A process may fail to open a version that another one could open.
        is_scored = not result.failures and versions_of(task).isdisjoint(result.unopened)
        if kept is not None and output in keys and is_scored:
            kept.store(keys[output], output, result.rows)
        on_progress(f"scored {done:,} of {rows:,} records of the lake")
    report_failures(sorted(failures), on_progress)
    return RecomputeResult(written, sorted(failures), reused, unopened)


def _opener(settings: Settings, without_refused: bool) -> OpenVersion:
    """Return what opens each version once, or refuses it each time for the same reason."""
    open_version = past_version_opener(settings) if without_refused else deciding_version_opener(settings)
    opened: dict[str, OpenModel | PastVersionRefused] = {}

    def open_once(version: str) -> OpenModel:
        if version not in opened:
            try:
                opened[version] = open_version(version)
            except PastVersionRefused as refusal:
                opened[version] = refusal
        found = opened[version]
        if isinstance(found, PastVersionRefused):
            raise found
        return found

    return open_once


def _run(recomputer: FileRecomputer, task: FileTask, output: Path) -> _FileResult:
    return _FileResult(recomputer.run(task, output), recomputer.take_failures(), recomputer.unopened)


def _results(
    work: Sequence[tuple[FileTask, Path]],
    settings: Settings,
    open_version: OpenVersion,
    processes: int,
    without_refused: bool,
) -> Iterator[tuple[FileTask, Path, _FileResult]]:
    if processes == 1 or not work:
        recomputer = FileRecomputer(LakeStore(settings.lake_url), open_version)
        for task, output in work:
            yield task, output, _run(recomputer, task, output)
        return
    # A forked process would inherit threads and connections in an undefined state.
    with ProcessPoolExecutor(processes, get_context("spawn"), _start_process, (settings, without_refused)) as pool:
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


def _start_process(settings: Settings, without_refused: bool) -> None:
    global _recomputer
    _recomputer = FileRecomputer(LakeStore(settings.lake_url), _opener(settings, without_refused))


def _run_in_process(task: FileTask, output: Path) -> _FileResult:
    if _recomputer is None:
        raise RuntimeError("the process was not prepared")
    return _run(_recomputer, task, output)
