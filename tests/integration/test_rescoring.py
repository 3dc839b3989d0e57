"""One process and several give the same rows from the same lake; each process opens its own models."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest

from batch.reconcile.file_tasks import FileTask
from batch.reconcile.recompute_files import recompute_files
from local.stack.commands import StackInfo
from moderation.bootstrap import exploration_keys
from moderation.errors import LakeDamaged, ModelRefused
from moderation.settings import Settings
from tests.support.rescoring_lake import SOURCES, LakeOfATest, wandering
from tests.support.workers import base_settings


@pytest.fixture
def settings(stack: StackInfo, model: Path, tmp_path: Path) -> Settings:
    changes = {"lake_url": str(tmp_path / "lake"), "state_folder": tmp_path / "state"}
    return base_settings(stack, "").model_copy(update=changes)


@pytest.fixture
def lake(settings: Settings, model: Path, tmp_path: Path) -> LakeOfATest:
    lake = LakeOfATest(tmp_path, {"1": model}, exploration_keys(settings))
    for source in SOURCES:
        lake.archive(wandering(Random(source.partition), 90), source)
    return lake


def rows_of(tasks: list[FileTask], settings: Settings, folder: Path, processes: int) -> list[dict[str, Any]]:
    said: list[str] = []
    count = recompute_files(tasks, settings, folder, said.append, processes).rows
    rows: list[dict[str, Any]] = pq.read_table([*folder.glob("*.parquet")]).to_pylist()
    total = sum(task.file.rows for task in tasks if not task.unread_only)
    assert said[-1] == f"scored {total:,} of {total:,} records of the lake"
    assert len(rows) == count
    return sorted(rows, key=lambda row: (row["part"], row["pos"]))


@pytest.mark.budget(60)
@pytest.mark.long
def test_one_process_and_two_give_the_same_rows(lake: LakeOfATest, settings: Settings, tmp_path: Path) -> None:
    tasks = lake.tasks()
    alone = rows_of(tasks, settings, tmp_path / "one", 1)
    assert len(alone) > 50
    assert alone == rows_of(tasks, settings, tmp_path / "two", 2)
    assert alone == sorted(lake.rows(), key=lambda row: (row["part"], row["pos"]))


@pytest.mark.long
def test_an_error_in_a_process_is_raised_by_name(lake: LakeOfATest, settings: Settings, tmp_path: Path) -> None:
    damaged = next(task.file for task in lake.tasks() if not task.unread_only)
    path = tmp_path / "lake" / damaged.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(LakeDamaged, match=path.name):
        recompute_files(lake.tasks(), settings, tmp_path / "damaged", lambda line: None, 2)
    path.write_bytes(whole)
    lake.served = {}
    with pytest.raises(ModelRefused, match="77"):
        recompute_files(lake.tasks(resolve=lambda: "77"), settings, tmp_path / "unknown", lambda line: None, 1)
