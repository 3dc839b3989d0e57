"""Recomputation of what is not counted: reasons, append times, digests of models, dead letters."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from batch.reconcile.file_tasks import plan_file_tasks
from batch.reconcile.lake_letters import collect_lake_letters
from moderation.adapters.lake.file_boundaries import FileLimits
from moderation.adapters.model_folder.folder import open_model
from moderation.adapters.reconciliation.snapshot import Letter
from moderation.contracts import RULES_VERSION, Content, Rules, to_json
from moderation.scoring import decision_reasons
from moderation.text import Lexicon
from tests.support.rescoring_lake import (
    BODIES,
    DAY_US,
    MAX_BYTES,
    SOURCES,
    WHOLE_DAY_US,
    LakeOfATest,
    comment,
    record,
)

pytestmark = pytest.mark.slow


def test_reasons_are_those_of_the_worker_and_only_of_alerts(lake: LakeOfATest) -> None:
    log = [record(offset, DAY_US + offset, comment(offset, DAY_US + offset)) for offset in range(40)]
    lake.archive(log)
    rows = lake.rows()
    kernel = open_model(lake.models["1"], Lexicon(), MAX_BYTES).kernel
    for offset, row in enumerate(rows):
        [reasons] = decision_reasons(kernel, [BODIES[offset % 4].format(offset)])
        assert row["reasons"] == (json.dumps(reasons) if row["verdict"] else "")
        assert row["append_us"] == DAY_US + offset
    assert len({row["reasons"] for row in rows}) > 2
    tasks = [replace(task, has_reasons=False) for task in lake.tasks()]
    assert {row["reasons"] for row in lake.rows(tasks=tasks)} == {""}


def test_rows_say_whether_the_ledger_records_another_model_than_the_registry_has(lake: LakeOfATest) -> None:
    lake.archive([record(offset, DAY_US + offset, comment(offset, DAY_US + offset)) for offset in range(9)])
    digest = open_model(lake.models["1"], Lexicon(), MAX_BYTES).model_digest
    snapshot = lake.snapshot()
    source = SOURCES[0]
    served = [
        replace(entry, from_offset=first, versions=replace(entry.versions, model_digest=each))
        for entry in snapshot.served[source]
        for first, each in ((2, digest), (5, "0" * 64), (7, None))
    ]
    snapshot = replace(snapshot, served={source: served})
    rows = lake.rows(tasks=plan_file_tasks(snapshot, lambda: None, lake.store))
    assert [row["pos"] for row in rows if row["is_other_model"]] == [5, 6]


@pytest.mark.parametrize("event_us", [DAY_US, DAY_US - 2 * WHOLE_DAY_US])
def test_refused_records_of_the_day_are_written_beside_it_and_so_are_those_with_a_dead_letter(
    lake: LakeOfATest, event_us: int
) -> None:
    """Also from files without a comment of the day: dead letters belong to the day of their append."""
    log = [record(n, DAY_US + n, comment(n, event_us)) for n in range(8)]
    log[2] = record(2, DAY_US + 2, b"nonsense")
    log[7] = record(7, DAY_US + WHOLE_DAY_US, b"the next day")
    lake.archive(log, limits=FileLimits())
    letter = Letter(DAY_US, "not_json", Content(1, "0" * 64), 2, False)
    snapshot = replace(lake.snapshot(), letters={SOURCES[0]: dict.fromkeys((2, 5), letter)})
    tasks = plan_file_tasks(snapshot, lambda: None, lake.store)
    assert [task.unread_only for task in tasks] == [event_us != DAY_US, True]
    lake.rows(tasks=tasks)
    collect_lake_letters(lake.folder, lake.folder / "letters")
    rows = {row["pos"]: row for row in pq.read_table(lake.folder / "letters" / "0.parquet").to_pylist()}
    assert {pos: row["reason"] for pos, row in rows.items()} == {2: "not_json", 5: ""}
    for pos, row in rows.items():
        assert row["append_us"] == DAY_US + pos
        assert Content(row["length"], row["sha256"]) == Content.of(log[pos].value or b"")


@pytest.mark.parametrize("offset_rules", [RULES_VERSION, 1])
def test_a_dead_letter_of_other_rules_holds_if_they_refuse_the_record_for_its_reason(
    lake: LakeOfATest, offset_rules: int
) -> None:
    log = [record(n, DAY_US + n, comment(n, DAY_US + n)) for n in range(6)]
    extended = {**json.loads(to_json(comment(1, DAY_US + 1))), "unheard_of": 1}
    for offset in (1, 2):
        log[offset] = record(offset, DAY_US + offset, json.dumps(extended).encode())
    lake.archive(log, limits=FileLimits())
    told = {1: ("unknown_field", 1), 2: ("not_json", 1), 3: ("unknown_field", 1), 4: ("unknown_field", 999)}
    letters = {n: Letter(DAY_US, reason, Content(1, "0" * 64), rules, False) for n, (reason, rules) in told.items()}
    snapshot = replace(lake.snapshot(), letters={SOURCES[0]: letters})
    tasks = [
        replace(task, rules=((0, Rules(offset_rules, 0)),))
        for task in plan_file_tasks(snapshot, lambda: None, lake.store)
    ]
    rows = lake.rows(tasks=tasks)
    collect_lake_letters(lake.folder, lake.folder / "letters")
    reasons = {row["pos"]: row["reason"] for row in pq.read_table(lake.folder / "letters" / "0.parquet").to_pylist()}
    # Version 1 refuses the field; a version that this release does not know refuses nothing.
    assert reasons == {1: "unknown_field", 2: "unknown_field", 3: "", 4: ""}
    holds = [row["pos"] for row in rows if row["letter_holds"]]
    assert holds == ([1] if offset_rules == RULES_VERSION else [])
