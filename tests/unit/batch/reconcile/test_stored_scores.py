"""Versions of the past that cannot be opened: scores and verdicts come from the ledger, all else from the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.reconcile.recompute import FileRecomputer
from batch.reconcile.stored_scores import use_stored_scores
from moderation.adapters.model_folder.folder import OpenModel, save_model
from moderation.errors import ModelRefused, PastVersionRefused
from moderation.scoring import ModerationPipeline
from moderation.training.metrics import Metrics
from tests.support.reconcile_digests import digest_columns
from tests.support.reference import REFERENCE
from tests.support.rescoring_lake import DAY_US, MINUTE_US, POLICIES, SOURCES, LakeOfATest, comment, record

pytestmark = pytest.mark.slow
COUNT = 30
UNOPENED = {"2": "there is no such version"}


@pytest.fixture
def lake(tmp_path: Path, pipeline: ModerationPipeline) -> LakeOfATest:
    metrics = Metrics(0.9, (0.9, 0.9), 0.9, 0.8, 0.1, 0.02, 0.7, 100, 30)
    for version, policy in POLICIES.items():
        training = {"data_digest": "d" * 64, "seed": 0, "folds": 5}
        save_model(tmp_path / version, pipeline, policy, metrics, REFERENCE, training)
    lake = LakeOfATest(tmp_path, {version: tmp_path / version for version in POLICIES})
    lake.archive([record(n, DAY_US + n * MINUTE_US, comment(n, DAY_US + n * MINUTE_US)) for n in range(COUNT)])
    lake.served[SOURCES[0]] = [(0, "1"), (5, "2"), (21, "1")]
    return lake


def recomputed(lake: LakeOfATest, folder: Path) -> FileRecomputer:
    """Recompute with version 2 refused, one file for each task."""

    def open_version(version: str) -> OpenModel:
        if version in UNOPENED:
            raise PastVersionRefused("version 2", UNOPENED[version])
        return lake.open_version(version)

    folder.mkdir()
    recomputer = FileRecomputer(lake.store, open_version)
    for number, task in enumerate(lake.tasks()):
        recomputer.run(task, folder / f"{number}.parquet")
    return recomputer


def in_order(folder: Path) -> list[dict[str, Any]]:
    rows = [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: row["pos"])


def ledger_of(rows: list[dict[str, Any]], folder: Path) -> None:
    folder.mkdir()
    columns = ("topic_id", "part", "pos", "score", "verdict", "reasons")
    types = (pa.string(), pa.int32(), pa.int64(), pa.int32(), pa.int32(), pa.string())
    schema = pa.schema(zip(columns, types, strict=True))
    chosen = [{name: row[name] for name in columns} for row in rows]
    pq.write_table(pa.Table.from_pylist(chosen, schema=schema), folder / "0.parquet")


def test_rows_with_stored_scores_equal_those_that_the_version_computed(lake: LakeOfATest, tmp_path: Path) -> None:
    expected = lake.rows()
    assert [row["model_version"] for row in expected] == ["1"] * 5 + ["2"] * 16 + ["1"] * 9
    recomputer = recomputed(lake, tmp_path / "recomputed")
    assert recomputer.unopened == UNOPENED
    assert recomputer.take_failures() == []
    before = in_order(tmp_path / "recomputed")
    assert {row["score"] for row in before if row["model_version"] == "2"} == {0}
    ledger_of(expected, tmp_path / "ledger")
    counts = use_stored_scores(tmp_path / "stored", tmp_path / "recomputed", tmp_path / "ledger", UNOPENED)
    assert counts == {"2": 16}
    assert in_order(tmp_path / "stored") == expected
    assert (
        pq.read_schema(tmp_path / "stored" / "0.parquet").names
        == pq.read_schema(tmp_path / "recomputed" / "0.parquet").names
    )


def test_other_versions_keep_their_own_scores_and_records_without_a_decision_get_none(
    lake: LakeOfATest, tmp_path: Path
) -> None:
    expected = lake.rows()
    recomputed(lake, tmp_path / "recomputed")
    wrong = [row | {"score": 777_777, "verdict": 2, "reasons": "[]"} for row in expected if row["pos"] != 9]
    ledger_of(wrong, tmp_path / "ledger")
    counts = use_stored_scores(tmp_path / "stored", tmp_path / "recomputed", tmp_path / "ledger", UNOPENED)
    assert counts == {"2": 15}
    for row, own in zip(in_order(tmp_path / "stored"), expected, strict=True):
        assert row == row | digest_columns(row)
        if row["pos"] == 9:
            assert (row["score"], row["verdict"], row["reasons"]) == (0, 0, "")
        elif row["model_version"] == "2":
            assert (row["score"], row["verdict"], row["reasons"]) == (777_777, 2, "[]")
        else:
            assert row == own


def test_a_version_that_is_refused_for_another_reason_ends_the_run(lake: LakeOfATest, tmp_path: Path) -> None:
    def refuse(version: str) -> OpenModel:
        raise ModelRefused(f"version {version}", "it is in production and does not verify")

    with pytest.raises(ModelRefused, match="in production"):
        FileRecomputer(lake.store, refuse).run(lake.tasks()[0], tmp_path / "0.parquet")
