from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest

from batch.archive.verify import LakeCheck, files_to_read
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.verification import FileDefect, MissingRange
from moderation.errors import LakeDamaged
from moderation.offsets import TopicPartition

PARTITION = TopicPartition("comments", UUID(int=1), 0)


def file(number: int, size_bytes: int = 100) -> LakeFile:
    day = date(2026, 11, 1)
    return LakeFile(f"f{number}", PARTITION, number, number + 1, day, 1, size_bytes, "", 0, 0, None, None)


def chosen(most_bytes: int, checks: dict[str, int], count: int = 6) -> list[str]:
    return [each.path for each in files_to_read([file(number) for number in range(count)], checks, most_bytes)]


def test_files_that_were_never_read_come_first_then_those_read_longest_ago() -> None:
    checks = {"f0": 30, "f1": 10, "f3": 20}
    assert chosen(10**6, checks) == ["f2", "f4", "f5", "f1", "f3", "f0"]
    assert chosen(450, checks) == ["f2", "f4", "f5", "f1"]


def test_every_file_is_read_in_turn_within_the_bound() -> None:
    checks: dict[str, int] = {}
    for night in range(4):
        names = chosen(200, checks, count=8)
        assert len(names) == 2
        checks |= dict.fromkeys(names, night)
    assert len(checks) == 8
    assert chosen(200, checks, count=8) == ["f0", "f1"]


def test_a_file_beyond_the_bound_is_read_alone() -> None:
    assert [each.path for each in files_to_read([file(0, 900), file(1)], {}, 100)] == ["f0"]
    assert files_to_read([], {}, 100) == []


def test_the_error_names_the_first_damaged_files_and_missing_offsets() -> None:
    check = LakeCheck("lake", 9, 9, 900, [], [], 0, None)
    assert check.failed is None
    check.require_whole()
    damaged = replace(check, defects=[FileDefect(f"f{number}", "it is missing") for number in range(9)])
    with pytest.raises(LakeDamaged, match=r"f0: it is missing; f1: .*; f4: it is missing, and 4 more"):
        damaged.require_whole()
    with pytest.raises(LakeDamaged, match=r"partition 0: offsets \[3, 7\) are in no file"):
        replace(check, missing=[MissingRange(PARTITION, 3, 7, is_explained=False)]).require_whole()
