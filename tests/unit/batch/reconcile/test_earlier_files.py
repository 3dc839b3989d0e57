"""Earlier files of a partition need not be read if the archive's maximum after them is the one that applied."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from batch.reconcile.file_tasks import plan_file_tasks
from moderation.adapters.lake.earlier_files import EarlierFiles, trusted_maxima
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.reconciliation.snapshot import Snapshot
from moderation.contracts import FIRST_RULES, MAX_FUTURE_US, NEWEST_RULES
from moderation.ledger import Served, Versions
from moderation.offsets import TopicPartition
from moderation.watermark import Reset, RunningMaximum
from tests.support.rescoring_lake import DAY, DAY_AFTER, DAY_BEFORE, SOURCES, LakeOfATest, wandering

VERSIONS = Versions("1", "p", "1")
EARLIER = EarlierFiles(100, RunningMaximum(5), ((NEWEST_RULES, 0, 100),), is_chained=True)


def without_earlier(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with only the files that its range needs, as the manifest's query returns them."""
    by_partition: dict[TopicPartition, list[LakeFile]] = defaultdict(list)
    for file in snapshot.manifest:
        by_partition[file.topic_partition].append(file)
    earlier: dict[TopicPartition, EarlierFiles] = {}
    rest: list[LakeFile] = []
    for source, own in by_partition.items():
        needed = [n for n, file in enumerate(own) if file.max_append_us >= snapshot.start_us - MAX_FUTURE_US]
        first = needed[0] if needed else len(own)
        rest += own[first:]
        if first:
            last = own[first - 1]
            assert last.maximum_after is not None
            parsed_by = ((last.rules, own[0].first_offset, last.next_offset),)
            earlier[source] = EarlierFiles(last.next_offset, last.maximum_after, parsed_by, is_chained=True)
    return replace(snapshot, manifest=rest, earlier=earlier)


@pytest.mark.parametrize("seed", range(8))
def test_files_to_recompute_are_the_same_without_earlier_files(tmp_path: Path, seed: int) -> None:
    lake = LakeOfATest(tmp_path, {})
    for source in SOURCES:
        lake.archive(wandering(Random(seed * 2 + source.partition), 90), source)
    skipped = 0
    for day in (DAY_BEFORE, DAY, DAY_AFTER):
        whole = lake.snapshot(day)
        part = without_earlier(whole)
        skipped += len(whole.manifest) - len(part.manifest)
        assert plan_file_tasks(part, lambda: None, lake.store) == plan_file_tasks(whole, lambda: None, lake.store)
    assert skipped > 10


def test_a_reset_between_earlier_and_needed_files_applies(tmp_path: Path) -> None:
    lake = LakeOfATest(tmp_path, {})
    lake.archive(wandering(Random(1), 90))
    part = without_earlier(lake.snapshot(DAY_AFTER))
    at = part.earlier[SOURCES[0]].next_offset
    lake.resets = {SOURCES[0]: [Reset(at, 17)]}
    whole = lake.snapshot(DAY_AFTER)
    assert part.earlier[SOURCES[0]].decides_maximum(whole.served[SOURCES[0]], (), lake.resets[SOURCES[0]])
    tasks = plan_file_tasks(without_earlier(whole), lambda: None, lake.store)
    assert tasks == plan_file_tasks(whole, lambda: None, lake.store)
    assert tasks[0].maximum_before == RunningMaximum(17)


def test_facts_that_change_the_maximum_before_the_end_of_earlier_files_make_them_needed() -> None:
    served = [Served(0, VERSIONS, NEWEST_RULES), Served(100, VERSIONS, FIRST_RULES)]
    assert EARLIER.decides_maximum(served, [100], [Reset(100, 3)])
    assert EARLIER.decides_maximum([], [], [])
    assert not EARLIER.decides_maximum(served, [99], [])
    assert not EARLIER.decides_maximum(served, [], [Reset(99, 3)])
    assert not replace(EARLIER, is_chained=False).decides_maximum(served, [], [])
    others = [
        [Served(0, VERSIONS, FIRST_RULES)],
        [Served(40, VERSIONS, FIRST_RULES)],  # it decided what came before its first offset, too
        [Served(0, VERSIONS, NEWEST_RULES), Served(99, VERSIONS, FIRST_RULES)],
        [Served(0, VERSIONS, FIRST_RULES), Served(1, VERSIONS, NEWEST_RULES)],
    ]
    assert not any(EARLIER.decides_maximum(each, [], []) for each in others)
    mixed = replace(EARLIER, parsed_by=((FIRST_RULES, 0, 40), (NEWEST_RULES, 40, 100)))
    assert mixed.decides_maximum([Served(0, VERSIONS, FIRST_RULES), Served(40, VERSIONS, NEWEST_RULES)], [], [])
    assert not mixed.decides_maximum([Served(0, VERSIONS, FIRST_RULES), Served(39, VERSIONS, NEWEST_RULES)], [], [])


def test_only_partitions_whose_facts_agree_are_trusted() -> None:
    facts = {SOURCES[0]: [3], SOURCES[1]: [200]}
    trusted = trusted_maxima(
        dict.fromkeys(SOURCES, EARLIER), lambda source: (), lambda source: facts[source], lambda source: ()
    )
    assert trusted == {SOURCES[1]: EARLIER}
