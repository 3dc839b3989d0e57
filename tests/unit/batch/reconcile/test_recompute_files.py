"""Which files of the lake are scored again, and which versions must open for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from batch.reconcile import recompute_files as module
from batch.reconcile.file_tasks import FileTask
from batch.reconcile.kept_rows import KeptRows
from batch.reconcile.recompute import FileRecomputer
from batch.reconcile.recompute_files import RecomputeResult, recompute_files
from moderation.adapters.lake.file_boundaries import FileLimits
from moderation.adapters.model_folder.folder import OpenModel
from moderation.errors import ModelRefused
from moderation.settings import Settings
from tests.support.rescoring_lake import DAY_US, MINUTE_US, SOURCES, WHOLE_DAY_US, LakeOfATest, comment, record

pytestmark = pytest.mark.slow
OpenVersion = Callable[[str], OpenModel]


@pytest.fixture
def two_days(lake: LakeOfATest) -> LakeOfATest:
    """A file of the day, which version 1 decided, and one of the next day, which version 2 decided."""
    for numbers, begin_us in ((range(8), DAY_US), (range(8, 12), DAY_US + WHOLE_DAY_US)):
        times_us = {number: begin_us + number * MINUTE_US for number in numbers}
        lake.archive([record(n, at_us, comment(n, at_us)) for n, at_us in times_us.items()], limits=FileLimits())
    lake.served = {SOURCES[0]: [(0, "1"), (8, "2")]}
    return lake


def recomputed(
    lake: LakeOfATest, folder: Path, monkeypatch: pytest.MonkeyPatch, open_version: OpenVersion
) -> RecomputeResult:
    monkeypatch.setattr(module, "past_version_opener", lambda settings: open_version)
    settings = Settings(lake_url=str(lake.folder / "lake"), state_folder=lake.folder / "state")
    kept = KeptRows(lake.folder / "kept")
    return recompute_files(lake.tasks(), settings, folder, lambda line: None, 1, kept, without_refused=True)


def test_a_version_without_records_of_the_day_need_not_open(
    two_days: LakeOfATest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_version(version: str) -> OpenModel:
        if version == "2":
            raise ModelRefused("version 2", "it explores with a key that is not set")
        return two_days.open_version(version)

    first = recomputed(two_days, tmp_path / "first", monkeypatch, open_version)
    assert (first.rows, first.reused, first.unopened) == (8, 0, {})
    second = recomputed(two_days, tmp_path / "second", monkeypatch, open_version)
    assert (second.rows, second.reused, second.unopened) == (8, 1, {})


def test_records_that_a_process_could_not_score_are_not_kept(
    two_days: LakeOfATest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_version(work: Sequence[tuple[FileTask, Path]], *others: Any) -> Iterator[tuple[Any, ...]]:
        for task, output in work:
            rows = FileRecomputer(two_days.store, two_days.open_version).run(task, output)
            yield task, output, module._FileResult(rows, [], {"1": "its file cannot be read"})

    with monkeypatch.context() as patched:
        patched.setattr(module, "_results", without_version)
        first = recomputed(two_days, tmp_path / "first", monkeypatch, two_days.open_version)
    assert first.unopened == {"1": "its file cannot be read"}
    second = recomputed(two_days, tmp_path / "second", monkeypatch, two_days.open_version)
    assert (second.rows, second.reused, second.unopened) == (8, 1, {})  # the file of version 2
