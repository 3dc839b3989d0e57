"""The join of lake records with the verdicts of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch import labelled_examples
from moderation.adapters.reconciliation.served_verdicts import DecidedRange

BOUNDS = {"start": 0, "end": 1_000}
OLD, NEW = "topic id of the old topic", "topic id of the re-created topic"
# record number, topic id, offset
COPIES = [(1, NEW, 0), (2, NEW, 1), (3, NEW, 2), (4, NEW, 9), (5, OLD, 0), (6, NEW, 3), (6, NEW, 5), (7, NEW, 6)]
VERDICTS = {
    0: ("allow", None, None),
    1: ("remove", None, None),
    3: ("allow", None, None),
    5: ("review", None, None),
    6: ("review", 10_000, "remove"),
}
"""Of topic ``NEW``, by offset; its partition is decided below offset 8."""


@pytest.fixture
def duck(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Records, one action, and the exported verdicts."""
    columns = {
        "record_id": [bytes([number]) * 32 for number, _, _ in COPIES],
        "comment_id": [f"c{number}" for number, _, _ in COPIES],
        "event_time_us": [100 + number for number, _, _ in COPIES],
        "append_us": [1_000 + offset for _, _, offset in COPIES],
        "value": [b"{}"] * len(COPIES),
        "partition": [0] * len(COPIES),
        "offset": [offset for _, _, offset in COPIES],
        "topic_id": [topic_id for _, topic_id, _ in COPIES],
    }
    action = {"comment_id": ["c7"], "kind": ["approve"], "inclusion_probability": [1.0], "action_time_us": [110]}
    verdicts = {
        "topic_id": [NEW] * len(VERDICTS),
        "part": [0] * len(VERDICTS),
        "pos": list(VERDICTS),
        "verdict": [verdict for verdict, _, _ in VERDICTS.values()],
        "inclusion_ppm": pa.array([inclusion for _, inclusion, _ in VERDICTS.values()], pa.int32()),
        "drawn_from": pa.array([drawn for _, _, drawn in VERDICTS.values()], pa.string()),
    }
    pq.write_table(pa.table(verdicts), tmp_path / "0.parquet")
    with duckdb.connect() as duck:
        duck.from_arrow(pa.table(columns)).create("comments")
        duck.from_arrow(pa.table(action | {"append_us": [1], "partition": [0], "offset": [0]})).create("actions")
        duck.execute(labelled_examples._TEXTS)
        labelled_examples._join_verdicts(duck, [DecidedRange(NEW, 0, 0, 8)], tmp_path, BOUNDS)
        duck.execute(labelled_examples._LABELLED, {**BOUNDS, "maturity": 50})
        yield duck


def test_records_are_joined_with_verdicts_of_the_same_topic_id(duck: duckdb.DuckDBPyConnection) -> None:
    assert labelled_examples._apply_rule(duck, "kept") == {
        "records": 7,
        "with_action": 1,
        "superseded": 0,
        "without_action_kept": 3,
        "not_allowed_without_action": 2,
        "verdict_unknown": 1,
    }
    rows = duck.execute(labelled_examples._SAMPLE, {"most": 100, "salt": ""}).fetchall()
    labels = {row[5][0]: row[6:] for row in rows}
    kept = (False, 1.0)
    assert labels == {1: kept, 4: kept, 5: kept, 7: (False, 100.0)}, "allowed, not decided, another topic id, drawn"


def test_the_digest_of_verdicts_changes_with_each_of_them(duck: duckdb.DuckDBPyConnection) -> None:
    first = labelled_examples._verdicts_digest(duck)
    assert labelled_examples._verdicts_digest(duck) == first
    seen = {first}
    for change in ("verdict = 'remove'", "inclusion_ppm = 5", "drawn_from = 'allow'", "is_decided = false"):
        duck.execute("CREATE OR REPLACE TEMP TABLE before AS SELECT * FROM labelled")
        duck.execute(f"UPDATE labelled SET {change} WHERE record_id = unhex(repeat('01', 32))")
        seen.add(labelled_examples._verdicts_digest(duck))
        duck.execute("DELETE FROM labelled")
        duck.execute("INSERT INTO labelled SELECT * FROM before")
    assert len(seen) == 5


def test_the_sample_depends_on_the_salt_and_not_on_the_order_of_record_ids(duck: duckdb.DuckDBPyConnection) -> None:
    labelled_examples._apply_rule(duck, "kept")

    def sample(salt: str) -> list[bytes]:
        return [row[5] for row in duck.execute(labelled_examples._SAMPLE, {"most": 1, "salt": salt}).fetchall()]

    assert sample("a") == sample("a")
    assert len({sample(str(salt))[0] for salt in range(40)}) > 1
