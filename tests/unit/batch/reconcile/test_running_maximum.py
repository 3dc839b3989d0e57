"""The batch layer's running maximum equals that of the whole log, before every file and at every comment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pyarrow.parquet as pq
import pytest

from batch.reconcile import file_tasks
from batch.reconcile.file_tasks import plan_file_tasks
from batch.reconcile.running_maximum import MaximumWalk
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.reconciliation.snapshot import Snapshot
from moderation.contracts import FIRST_RULES, NEWEST_RULES, Comment, parse_record
from moderation.ledger import Served
from moderation.panes import late_flags
from moderation.watermark import NOTHING_SEEN, Candidate, Reset, RunningMaximum
from tests.support.event_time_rules import fates_and_maxima_of
from tests.support.rescoring_lake import DAY_US, HOUR_US, MINUTE_US, SOURCES, LakeOfATest, comment, record

HOURS = (0, 0, 0.2, 0.5, 0.9, 0.99, 1.01, 2, 5, 9)
COUNT = 60


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that were read for their event times."""
    found: list[str] = []
    read = file_tasks._by_reading

    def noted(walk: MaximumWalk, file: LakeFile, *rest: object) -> RunningMaximum:
        found.append(file.path)
        return read(walk, file, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(file_tasks, "_by_reading", noted)
    return found


def jumping(random: Random) -> list[Comment]:
    """Comments of few ids whose times go forward and jump."""
    at_us, comments = DAY_US, []
    for _ in range(COUNT):
        at_us += random.choice((0, 0, MINUTE_US, 7 * MINUTE_US))
        comments.append(comment(random.randint(0, 4), at_us + int(random.choice(HOURS) * HOUR_US)))
    return comments


def archived(lake: LakeOfATest, comments: Iterable[Comment], maxima: bool = True) -> None:
    """Files of one to eight records."""
    log = [record(offset, DAY_US + 20 * HOUR_US, each) for offset, each in enumerate(comments)]
    random, first = Random(len(log)), 0
    while first < len(log):
        upto = first + random.randint(1, 8)
        lake.archive(log[first:upto], maxima=maxima)
        first = upto


def rows_of(comments: Iterable[Comment]) -> list[tuple[int, bytes, str]]:
    return [(each.event_time_us, bytes([index]), each.comment_id) for index, each in enumerate(comments)]


def require_as_the_log(lake: LakeOfATest, snapshot: Snapshot, expected: list[tuple[bool, RunningMaximum]]) -> None:
    """Before every task and at every comment of it."""
    before = [NOTHING_SEEN, *(after for _, after in expected)]
    tasks = plan_file_tasks(snapshot, lambda: "1", lake.store)
    assert [task.file for task in tasks] == lake.manifest
    for task in tasks:
        first = task.file.first_offset
        if not any(each.offset == first for each in snapshot.resets.get(task.file.topic_partition, ())):
            assert task.maximum_before == before[first]
        walk = MaximumWalk(task.maximum_before, task.rules, task.resets)
        log = [each for each in range(first, task.file.next_offset) if each not in task.quarantined]
        comments = [lake_comment(lake, offset) for offset in log]
        times_us = np.array([each.event_time_us for each in comments], np.int64)
        half = len(log) // 2
        late: list[bool] = []
        for part in (slice(0, half), slice(half, None)):
            ids = [each.comment_id for each in comments[part]]
            late += late_flags(walk.advance_over(log[part], times_us[part], ids), times_us[part]).tolist()
        assert late == [expected[offset][0] for offset in log]


def lake_comment(lake: LakeOfATest, offset: int) -> Comment:
    value = lake_values(lake)[offset]
    return parse_record(value, DAY_US + 20 * HOUR_US)


def lake_values(lake: LakeOfATest) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for file in lake.manifest:
        table = pq.read_table(lake.store.url_of(file.path), columns=["offset", "value"])
        found |= dict(zip(table["offset"].to_pylist(), table["value"].to_pylist(), strict=True))
    return found


def law_of(
    comments: list[Comment],
    second_from: int = 0,
    resets: dict[int, int] | None = None,
    without: frozenset[int] = frozenset(),
) -> list[tuple[bool, RunningMaximum]]:
    """For each offset whether it is late, and the running maximum after it."""
    kept = [offset for offset in range(len(comments)) if offset not in without]
    moved = {
        next(i for i, each in enumerate(kept) if each >= offset): at_us for offset, at_us in (resets or {}).items()
    }
    rows = rows_of(comments)
    found = fates_and_maxima_of(
        [rows[offset] for offset in kept], lambda index: 2 if kept[index] >= second_from else 1, moved
    )
    expected: list[tuple[bool, RunningMaximum]] = []
    by_offset = dict(zip(kept, found, strict=True))
    for offset in range(len(comments)):
        if offset in by_offset:
            fate, (newest_us, candidate) = by_offset[offset]
            expected.append((fate == "late", RunningMaximum(newest_us, candidate and Candidate(*candidate))))
        else:
            expected.append((False, expected[-1][1] if expected else NOTHING_SEEN))
    return expected


@pytest.mark.parametrize("seed", range(6))
def test_the_maximum_before_each_file_comes_from_the_manifest_alone(
    tmp_path: Path, reads: list[str], seed: int
) -> None:
    lake, comments = LakeOfATest(tmp_path, {}), jumping(Random(seed))
    archived(lake, comments)
    require_as_the_log(lake, lake.snapshot(), law_of(comments))
    assert reads == []


@pytest.mark.parametrize("seed", range(6))
def test_files_that_were_archived_before_maxima_were_noted_are_read(
    tmp_path: Path, reads: list[str], seed: int
) -> None:
    lake, comments = LakeOfATest(tmp_path, {}), jumping(Random(seed))
    archived(lake, comments, maxima=False)
    require_as_the_log(lake, lake.snapshot(), law_of(comments))
    assert reads


@pytest.mark.parametrize("seed", range(6))
def test_offsets_with_rules_version_1_use_the_plain_maximum(tmp_path: Path, seed: int) -> None:
    lake, comments = LakeOfATest(tmp_path, {}), jumping(Random(seed))
    archived(lake, comments)
    snapshot = lake.snapshot()
    versions = snapshot.served[SOURCES[0]][0].versions
    served = {SOURCES[0]: [Served(0, versions, FIRST_RULES), Served(COUNT // 2, versions, NEWEST_RULES)]}
    require_as_the_log(lake, replace(snapshot, served=served), law_of(comments, second_from=COUNT // 2))


@pytest.mark.parametrize("seed", range(6))
def test_resets_apply_at_their_offsets_and_records_in_quarantine_move_nothing(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    lake, comments = LakeOfATest(tmp_path, {}), jumping(random)
    archived(lake, comments)
    resets = {random.randrange(COUNT - 5): DAY_US + random.randint(-2, 3) * HOUR_US for _ in range(3)}
    without = frozenset(random.sample(range(COUNT - 5), 4))
    values = lake_values(lake)
    lake.quarantined[SOURCES[0]] = {offset: hashlib.sha256(values[offset]).hexdigest() for offset in without}
    lake.resets[SOURCES[0]] = [Reset(*each) for each in sorted(resets.items())]
    expected = law_of(comments, resets=resets, without=without)
    tasks = lake.tasks()
    late = {}
    for task in tasks:
        walk = MaximumWalk(task.maximum_before, task.rules, task.resets)
        for offset in range(task.file.first_offset, task.file.next_offset):
            if offset not in without:
                each = lake_comment(lake, offset)
                times_us = np.array([each.event_time_us])
                late[offset] = bool(late_flags(walk.advance_over([offset], times_us, [each.comment_id]), times_us)[0])
    assert late == {offset: is_late for offset, (is_late, _) in enumerate(expected) if offset not in without}
    if not without & resets.keys():
        require_as_the_log(lake, lake.snapshot(), expected)
