"""Recomputed records are kept by everything that they depend on."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch.reconcile.file_tasks import FileTask
from batch.reconcile.kept_rows import KeptRows, key_of
from batch.reconcile.recompute import FileRecomputer
from moderation.adapters.lake.file_boundaries import FileLimits
from moderation.contracts import Content, LetterContents, Rules
from moderation.ledger import Served, Versions
from moderation.watermark import Reset, RunningMaximum
from tests.support.rescoring_lake import DAY_US, POLICIES, LakeOfATest, comment, record

pytestmark = pytest.mark.slow
OTHER_VERSION = (Served(3, Versions("2", POLICIES["2"].policy_version, "1")),)
CHANGES: dict[str, dict[str, Any]] = {
    "the day": {"end_us": DAY_US + 1},
    "the maximum": {"maximum_before": RunningMaximum(DAY_US)},
    "a reset": {"resets": (Reset(2, DAY_US),)},
    "the version": {"first_version": "2", "served": ()},
    "a later version": {"served": OTHER_VERSION},
    "rules": {"rules": ((0, Rules(1, 0)),)},
    "a replay": {"replays": {4: LetterContents(Content(1, "a" * 64))}},
    "the end of the ledger": {"decided_next": 2},
    "a record in quarantine": {"quarantined": {1: "a" * 64}},
    "a dead letter": {"letters": {1: ("not_json", 2)}},
    "reasons": {"has_reasons": False},
    "the mode": {"unread_only": True},
}


@pytest.fixture
def task(lake: LakeOfATest) -> FileTask:
    log = [record(n, DAY_US + n, comment(n, DAY_US + n)) for n in range(8)]
    log[2] = record(2, DAY_US + 2, b"nonsense")
    lake.archive(log, limits=FileLimits())
    [task] = lake.tasks()
    return task


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_records_depend_on_changes_their_key(lake: LakeOfATest, task: FileTask, change: str) -> None:
    key = key_of(task, lake.open_version)
    assert key == key_of(replace(task), lake.open_version)
    assert key != key_of(replace(task, **CHANGES[change]), lake.open_version)


def test_another_model_of_the_same_number_changes_the_key(lake: LakeOfATest, task: FileTask) -> None:
    key = key_of(task, lake.open_version)
    lake.models = {"1": lake.models["2"], "2": lake.models["1"]}
    assert key != key_of(task, lake.open_version)


def test_what_other_files_have_does_not_change_the_key(lake: LakeOfATest, task: FileTask) -> None:
    later = replace(OTHER_VERSION[0], from_offset=8)
    other = replace(
        task, served=(*task.served, later), decided_next=10**6, replays={8: LetterContents(Content(1, "a"))}
    )
    assert key_of(replace(task, decided_next=8), lake.open_version) == key_of(other, lake.open_version)


def test_records_and_dead_letters_are_fetched_as_they_were_stored(
    lake: LakeOfATest, task: FileTask, tmp_path: Path
) -> None:
    kept, key = KeptRows(tmp_path / "kept"), "a" * 64
    output, copy = tmp_path / "7.parquet", tmp_path / "scratch" / "12.parquet"
    copy.parent.mkdir()
    assert kept.fetch(key, copy) is None
    rows = FileRecomputer(lake.store, lake.open_version).run(task, output)
    kept.store(key, output, rows)
    kept.store(key, output, rows)  # another process was first
    assert kept.fetch(key, copy) == rows == 7
    assert copy.read_bytes() == output.read_bytes()
    assert (copy.parent / "_letters-12.rows").read_bytes() == (tmp_path / "_letters-7.rows").read_bytes()
    assert sorted(path.name for path in copy.parent.iterdir()) == ["12.parquet", "_letters-12.rows"]


@pytest.mark.parametrize("name", ["ROWS.parquet", "_letters-ROWS.rows", "files.json"])
def test_damaged_records_are_computed_again(lake: LakeOfATest, task: FileTask, tmp_path: Path, name: str) -> None:
    kept, key, output = KeptRows(tmp_path / "kept"), "a" * 64, tmp_path / "7.parquet"
    kept.store(key, output, FileRecomputer(lake.store, lake.open_version).run(task, output))
    damaged = tmp_path / "kept" / key / name
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert kept.fetch(key, tmp_path / "0.parquet") is None


def test_only_what_was_not_used_for_long_is_deleted(tmp_path: Path) -> None:
    kept, output = KeptRows(tmp_path / "kept"), tmp_path / "0.parquet"
    output.write_bytes(b"rows")
    assert kept.forget(1) == 0
    for key in ("a" * 64, "b" * 64):
        kept.store(key, output, 1)
    foreign, of_a_killed_process = tmp_path / "kept" / "someone else's", tmp_path / "kept" / "incoming-1a2b"
    three_days_ago = time.time() - 3 * 86_400
    for path in (foreign, of_a_killed_process):
        path.mkdir()
    for path in (foreign, of_a_killed_process, tmp_path / "kept" / ("a" * 64)):
        os.utime(path, (three_days_ago, three_days_ago))
    assert kept.forget(4) == 0
    assert kept.forget(2) == 2
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["b" * 64, "someone else's"]
