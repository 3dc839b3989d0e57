"""Recomputation of a day: selected records, scoring versions, lateness, and refusal of damaged files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest

from batch.reconcile.file_tasks import plan_file_tasks
from batch.reconcile.replays import ignored_replays
from batch.record_isolation import Failure
from moderation.adapters.kafka.topic_reader import LogRecord
from moderation.adapters.lake.file_boundaries import FileLimits
from moderation.adapters.model_folder.folder import open_model
from moderation.adapters.reconciliation.snapshot import Cut
from moderation.contracts import (
    Comment,
    Content,
    LetterContents,
    Read,
    Rules,
    parse_record,
    read_record,
)
from moderation.errors import ConfigurationError, LakeDamaged, ModelRefused
from moderation.scoring import Kernel
from moderation.text import KERNEL_VERSION, Lexicon
from tests.support.event_time_rules import fates_of
from tests.support.reconcile_digests import digest_columns
from tests.support.rescoring_lake import (
    BODIES,
    DAY,
    DAY_AFTER,
    DAY_BEFORE,
    DAY_US,
    HOUR_US,
    MAX_BYTES,
    MINUTE_US,
    REFUSED,
    SOURCES,
    WHOLE_DAY_US,
    LakeOfATest,
    comment,
    readable_today,
    record,
    wandering,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(3))
def test_every_comment_belongs_to_one_day_and_is_late_as_in_the_whole_log(lake: LakeOfATest, seed: int) -> None:
    expected: dict[tuple[int, int], tuple[bool, bytes, str]] = {}
    for source in SOURCES:
        log = wandering(Random(seed * 2 + source.partition), 90)
        lake.archive(log, source)
        parsed = [(each.offset, comment_of(each)) for each in log if each.value != b"nonsense"]
        times = [each.event_time_us for _, each in parsed]
        late = [
            fate == "late"
            for fate in fates_of(
                (at, bytes([number]), each.comment_id)
                for number, (at, (_, each)) in enumerate(zip(times, parsed, strict=True))
            )
        ]
        for (offset, each), is_late in zip(parsed, late, strict=True):
            expected[source.partition, offset] = is_late, each.record_id(), each.community
    assert {is_late for is_late, _, _ in expected.values()} == {False, True}
    found: dict[tuple[int, int], tuple[bool, bytes, str]] = {}
    days = 0
    for number in range(-1, 4):
        start_us = DAY_US + number * WHOLE_DAY_US
        rows = lake.rows(DAY + timedelta(number))
        days += bool(rows)
        for row in rows:
            assert start_us <= row["event_us"] < start_us + WHOLE_DAY_US
            assert row["record_hash"] == int.from_bytes(row["record_id"][:8], "little", signed=True)
            assert row == row | digest_columns(row)
            assert (row["part"], row["pos"]) not in found
            found[row["part"], row["pos"]] = row["is_late"], row["record_id"], row["community"]
    assert found == expected
    assert days >= 3


def comment_of(record: LogRecord) -> Comment:
    return parse_record(record.value or b"", record.append_us)


def test_files_of_other_days_move_the_watermark(lake: LakeOfATest) -> None:
    """The day after, five minutes in, closes what ended five minutes before midnight, by the manifest alone."""
    after_us = DAY_US + WHOLE_DAY_US
    lake.archive([record(0, after_us + HOUR_US, comment(0, after_us + 5 * MINUTE_US))])
    lake.archive([record(1, after_us + HOUR_US, comment(1, after_us - 5 * MINUTE_US))])
    lake.archive([record(2, after_us + HOUR_US, comment(2, after_us - 5 * MINUTE_US - 1))])
    assert [task.unread_only for task in lake.tasks()] == [True, False, False]
    assert [(row["pos"], row["is_late"]) for row in lake.rows()] == [(1, False), (2, True)]


def test_each_record_is_scored_by_the_version_that_served_its_offset(lake: LakeOfATest) -> None:
    log = [record(offset, DAY_US + offset, comment(offset, DAY_US + offset)) for offset in range(40)]
    lake.archive(log)
    lake.served[SOURCES[0]] = [(3, "1"), (10, "2"), (11, "1"), (25, "2")]
    rows = lake.rows()
    versions = ["2" if offset == 10 or offset >= 25 else "1" for offset in range(40)]
    assert [row["model_version"] for row in rows] == versions
    opened = {version: open_model(folder, Lexicon(), MAX_BYTES) for version, folder in lake.models.items()}
    for offset, row in enumerate(rows):
        model = opened[versions[offset]]
        score = model.kernel.score_one(BODIES[offset % 4].format(offset))
        verdict = ("allow", "review", "remove").index(model.policy.verdict(score))
        assert (row["pos"], row["score"], row["verdict"]) == (offset, score, verdict)
        assert (row["policy_version"], row["kernel_version"]) == (model.policy.policy_version, KERNEL_VERSION)
    assert {row["verdict"] for row in rows} == {0, 1, 2}
    assert sorted(lake.opened) == ["1", "2"], "a model stays open from one file to the next"


def test_a_quarantined_record_is_not_scored_but_another_record_at_its_offset_is(
    lake: LakeOfATest,
) -> None:
    times_us = [DAY_US, DAY_US + 40 * MINUTE_US, DAY_US + MINUTE_US, DAY_US + 2 * MINUTE_US]
    log = [record(offset, DAY_US + HOUR_US, comment(1, at_us)) for offset, at_us in enumerate(times_us)]
    for each in log:
        lake.archive([each])
    assert [row["is_late"] for row in lake.rows()] == [False, False, True, True]
    digests = [hashlib.sha256(each.value or b"").hexdigest() for each in log]
    lake.quarantined[SOURCES[0]] = {1: digests[1], 3: digests[0]}
    rows = lake.rows()
    assert [row["is_quarantined"] for row in rows] == [False, True, False, False]
    assert [row["is_late"] for row in rows] == [False] * 4
    assert (rows[1]["score"], rows[1]["verdict"]) == (0, 0)
    assert rows[3]["score"] > 0


def test_one_version_can_score_any_interval_with_the_same_lateness(lake: LakeOfATest) -> None:
    for source in SOURCES:
        lake.archive(wandering(Random(7 + source.partition), 90), source)
    start_us, end_us = DAY_US - 90 * MINUTE_US, DAY_US + 5 * HOUR_US + 1
    snapshot = replace(lake.snapshot(), start_us=start_us, end_us=end_us, served={})
    rows = lake.rows(tasks=plan_file_tasks(snapshot, lambda: "2", lake.store))
    assert {row["model_version"] for row in rows} == {"2"}
    assert {row["is_late"] for row in rows} == {False, True}
    names = ("part", "pos", "event_us", "record_id", "is_late")
    by_days = [row for day in (DAY_BEFORE, DAY) for row in lake.rows(day) if start_us <= row["event_us"] < end_us]
    assert sorted(tuple(row[name] for name in names) for row in rows) == sorted(
        tuple(row[name] for name in names) for row in by_days
    )
    assert {row["event_us"] < DAY_US for row in rows} == {False, True}


def test_a_partition_without_served_versions_is_scored_by_another_partitions_or_production(
    lake: LakeOfATest,
) -> None:
    lake.archive([record(0, DAY_US, comment(0, DAY_US))])
    lake.served = {SOURCES[1]: [(0, "1"), (5, "2")]}
    assert [row["model_version"] for row in lake.rows()] == ["2"]
    lake.served = {}
    assert [row["model_version"] for row in lake.rows(tasks=lake.tasks(resolve=lambda: "1"))] == ["1"]
    with pytest.raises(ConfigurationError, match="no model ever served"):
        lake.tasks()


def test_replays_need_the_offset_and_the_bytes(lake: LakeOfATest) -> None:
    log = [record(offset, DAY_US + offset, comment(offset, DAY_US + offset)) for offset in range(9)]
    lake.archive(log)
    contents = {each.offset: LetterContents(Content.of(each.value or b"")) for each in log}
    corrected = LetterContents(Content.of(b"no comment"), corrected=contents[8].original)
    lake.replays = {SOURCES[0]: {2: contents[2], 5: contents[6], 8: corrected}, SOURCES[1]: {3: contents[3]}}
    assert [row["pos"] for row in lake.rows() if row["is_replay"]] == [2, 8]


def test_ignored_replay_headers_are_counted_up_to_the_end_of_the_ledger(lake: LakeOfATest) -> None:
    def with_header(offset: int, header: bytes | None) -> LogRecord:
        return record(offset, DAY_US + offset, comment(offset, DAY_US + offset), [("replay_of", header)])

    log = [with_header(offset, header) for offset, header in enumerate((b"genuine", b"forged", None, b"later"))]
    lake.archive([*log, record(4, DAY_US + 4, comment(4, DAY_US + 4), [("other", b"x")])])
    lake.replays = {SOURCES[0]: {0: LetterContents(Content.of(log[0].value or b""))}}
    lake.cuts = {SOURCES[0]: Cut(5, 3)}
    lake.rows()
    found = ignored_replays(lake.folder)
    assert (found.count, found.examples) == (2, ["partition 0 offset 1", "partition 0 offset 2"])
    assert "2 headers replay_of" in found.summary()


def test_records_unreadable_at_archiving_are_found_in_files_of_later_days(lake: LakeOfATest) -> None:
    log = [record(n, DAY_US + WHOLE_DAY_US + n, comment(n, DAY_US + WHOLE_DAY_US)) for n in range(20)]
    log[5] = record(5, log[5].append_us, readable_today(5, DAY_US + HOUR_US))
    log[13] = record(13, log[13].append_us, readable_today(13, DAY_US + 2 * HOUR_US))
    log[14] = record(14, log[14].append_us, readable_today(14, DAY_US + WHOLE_DAY_US))
    log[15] = record(15, log[15].append_us, REFUSED)
    lake.archive(log)
    assert all(task.unread_only for task in lake.tasks())
    assert [(row["pos"], row["event_us"] - DAY_US) for row in lake.rows()] == [(5, HOUR_US), (13, 2 * HOUR_US)]
    assert [row["pos"] for row in lake.rows(DAY_AFTER)] == [n for n in range(20) if n not in (5, 13, 15)]


@pytest.mark.parametrize("ahead_us", [2 * MINUTE_US, 5 * MINUTE_US])
def test_unreadable_records_may_be_appended_minutes_before_midnight(lake: LakeOfATest, ahead_us: int) -> None:
    """A record may be dated up to five minutes after its append, and so after the midnight that its file ends with."""
    lake.archive([record(0, DAY_US - ahead_us, readable_today(0, DAY_US)), record(1, DAY_US - 1, b"nonsense")])
    assert [file.day for file in lake.manifest] == [DAY_BEFORE]
    assert [row["pos"] for row in lake.rows()] == [0]


def test_a_file_without_readable_records_is_searched(lake: LakeOfATest) -> None:
    lake.archive([record(n, DAY_US + n, readable_today(n, DAY_US + n)) for n in range(5)])
    assert lake.manifest[0].min_event_time_us is None
    assert [row["pos"] for row in lake.rows()] == [0, 1, 2, 3, 4]


def test_files_of_earlier_days_are_skipped(lake: LakeOfATest) -> None:
    lake.archive([record(0, DAY_US - 5 * MINUTE_US - 1, b"nonsense")])
    assert lake.tasks() == []


def damage(path: Path, kind: str) -> None:
    data = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "destroyed":
        footer = 8 + int.from_bytes(data[-8:-4], "little")
        path.write_bytes(data[:4] + b"\xff" * (len(data) - 4 - footer) + data[-footer:])
    else:
        # In the pages, far before the footer.
        path.write_bytes(data[:40] + bytes(each ^ 0xFF for each in data[40:60]) + data[60:])


@pytest.mark.parametrize("kind", ["missing", "truncated", "altered", "destroyed"])
@pytest.mark.parametrize("unread_only", [False, True])
def test_a_damaged_file_is_refused_by_name(lake: LakeOfATest, kind: str, unread_only: bool) -> None:
    at_us = DAY_US + (WHOLE_DAY_US if unread_only else 0)
    lake.archive([record(n, at_us + n, comment(n, at_us)) for n in range(6)])
    lake.archive([record(6, at_us + 6, readable_today(6, DAY_US + 6)), record(7, at_us + 7, comment(7, at_us))])
    damaged = lake.manifest[1]
    assert [task.unread_only for task in lake.tasks()] == [unread_only] * 2
    assert 6 in [row["pos"] for row in lake.rows()]
    damage(lake.folder / "lake" / damaged.path, kind)
    with pytest.raises(LakeDamaged, match=Path(damaged.path).name):
        lake.rows()


def test_another_file_of_the_same_size_is_refused_though_it_can_be_read(lake: LakeOfATest) -> None:
    at_us = DAY_US + WHOLE_DAY_US
    log = [record(0, at_us, comment(0, at_us)), record(1, at_us, readable_today(1, DAY_US))]
    lake.archive(log)
    file = lake.manifest[0]
    for letter in "bcdefghij":
        lake.archive([log[0], record(1, at_us, (log[1].value or b"").replace(b"c1", letter.encode() + b"1"))])
        if lake.manifest[-1].bytes == file.bytes:
            break
    other = lake.manifest[-1]
    assert (other.bytes, other.rows) == (file.bytes, file.rows)
    assert other.sha256 != file.sha256
    shutil.copy(lake.folder / "lake" / other.path, lake.folder / "lake" / file.path)
    lake.manifest = [file]
    assert lake.tasks()[0].unread_only
    with pytest.raises(LakeDamaged, match="SHA-256"):
        lake.rows()


def test_a_version_that_does_not_verify_is_refused_by_name(lake: LakeOfATest, tmp_path: Path) -> None:
    lake.archive([record(0, DAY_US, comment(0, DAY_US))])
    lake.models = lake.models | {"1": Path(shutil.copytree(lake.models["1"], tmp_path / "altered"))}
    with (tmp_path / "altered" / "model.skops").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelRefused, match=r"altered.*model\.skops"):
        lake.rows()
    assert lake.opened == ["1"]


def test_a_file_longer_than_a_batch_is_read_completely(lake: LakeOfATest) -> None:
    count = 5_000
    times = [DAY_US + n for n in range(count)]
    times[4_000] += HOUR_US - 1_000  # closes the pane that all others lie in
    log = [record(n, DAY_US + HOUR_US + n, comment(n % 50, at_us)) for n, at_us in enumerate(times)]
    lake.archive(log, limits=FileLimits())
    lake.served[SOURCES[0]] = [(0, "1"), (4_500, "2")]
    rows = lake.rows()
    assert [row["pos"] for row in rows] == list(range(count))
    assert [row["is_late"] for row in rows] == [False] * 4_001 + [True] * 999
    assert [row["model_version"] for row in rows] == ["1"] * 4_500 + ["2"] * 500
    assert pq.ParquetFile(lake.folder / f"{DAY}-0.parquet").num_row_groups == 2


def test_days_are_utc(lake: LakeOfATest) -> None:
    assert datetime.fromtimestamp(DAY_US / 1e6, UTC).date() == DAY
    lake.archive(
        [record(0, DAY_US + WHOLE_DAY_US, comment(0, DAY_US - 1)), record(1, DAY_US + WHOLE_DAY_US, comment(1, DAY_US))]
    )
    assert [row["pos"] for row in lake.rows(DAY_BEFORE)] == [0]
    assert [row["pos"] for row in lake.rows(DAY)] == [1]


def test_a_record_that_only_the_batch_cannot_score_is_named_and_the_others_are_scored(
    lake: LakeOfATest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.archive([record(offset, DAY_US + offset, comment(offset, DAY_US + offset)) for offset in range(12)])
    expected = lake.rows()
    assert lake.failures == []
    score_many = Kernel.score_many

    def brittle(self: Kernel, texts: Sequence[str]) -> Any:
        if any(text == BODIES[1].format(5) for text in texts):
            raise ZeroDivisionError
        return score_many(self, texts)

    monkeypatch.setattr(Kernel, "score_many", brittle)
    rows = lake.rows()
    assert lake.failures == [Failure(str(SOURCES[0].topic_id), 0, 5, "ZeroDivisionError")]
    assert [row for row in rows if row["pos"] != 5] == [row for row in expected if row["pos"] != 5]
    unscored = expected[5] | {"score": 0, "verdict": 0, "reasons": ""}
    assert rows[5] == unscored | digest_columns(unscored)


def test_a_record_that_only_the_batch_cannot_parse_is_named_on_the_day_of_its_append(
    lake: LakeOfATest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.archive([record(offset, DAY_US + offset, comment(offset, DAY_US + offset)) for offset in range(12)])
    expected = lake.rows()

    def brittle(value: bytes, append_us: int, rules: Rules) -> Read:
        if b'"c5"' in value:
            raise ZeroDivisionError(value)
        return read_record(value, append_us, rules)

    monkeypatch.setattr("batch.reconcile.recompute.read_record", brittle)
    assert lake.rows() == [row for row in expected if row["pos"] != 5]
    assert lake.failures == [Failure(str(SOURCES[0].topic_id), 0, 5, "ZeroDivisionError")]
    assert lake.rows(DAY_BEFORE) == []
    assert lake.failures == []
