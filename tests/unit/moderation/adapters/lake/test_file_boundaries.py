"""Files and row groups tile their range for any days and limits; a run continues at the end of the archive."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.kafka.topic_reader import LogRecord
from moderation.adapters.lake.file_boundaries import FileLimits, in_files, in_groups, size_of
from moderation.errors import TopicRefused
from moderation.offsets import TopicPartition, next_range, uncovered
from moderation.timestamps import day_of

DAY_US = 86_400_000_000
SOURCE = TopicPartition("comments", UUID(int=7), 3)

# Steps in append time: mostly small, sometimes over a day's end, now and then back (a broker's clock set back).
steps = st.lists(st.sampled_from([0, 1_000, 40_000_000_000, DAY_US, -50_000_000_000]), max_size=60)
sizes = st.integers(0, 300)
limits = st.builds(
    FileLimits,
    file_rows=st.integers(1, 12),
    file_bytes=st.integers(1, 1_500),
    group_rows=st.integers(1, 5),
    group_bytes=st.integers(1, 600),
)


@st.composite
def logs(draw: st.DrawFn) -> list[LogRecord]:
    first, append_us, records = draw(st.integers(0, 2**40)), 20_000 * DAY_US, []
    for number, step in enumerate(draw(steps)):
        append_us += step
        records.append(LogRecord(first + number, append_us, b"k", b"x" * draw(sizes), []))
    return records


@given(logs(), limits)
def test_files_tile_the_range_and_none_crosses_a_day_or_a_limit(records: list[LogRecord], limits: FileLimits) -> None:
    files = [(day, list(group)) for day, group in in_files(iter(records), limits)]
    assert [record for _, group in files for record in group] == records
    for day, group in files:
        assert group
        assert {day_of(record.append_us) for record in group} == {day}
        assert len(group) <= limits.file_rows
        assert len(group) == 1 or sum(map(size_of, group)) <= limits.file_bytes


@given(logs(), limits)
def test_a_file_is_not_cut_without_need(records: list[LogRecord], limits: FileLimits) -> None:
    files = [(day, list(group)) for day, group in in_files(records, limits)]
    for (day, group), (next_day, following) in itertools.pairwise(files):
        joined = [*group, following[0]]
        too_large = len(joined) > limits.file_rows or sum(map(size_of, joined)) > limits.file_bytes
        assert day != next_day or too_large


@given(logs(), limits)
def test_row_groups_contain_the_records_of_a_file_in_order_and_within_limits(
    records: list[LogRecord], limits: FileLimits
) -> None:
    for _, group in in_files(records, limits):
        held = list(group)
        groups = list(in_groups(held, limits))
        assert [record for each in groups for record in each] == held
        for each in groups:
            assert len(each) <= limits.group_rows
            assert len(each) == 1 or sum(map(size_of, each)) <= limits.group_bytes


ranges = st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(ranges, st.lists(ranges, max_size=6))
def test_uncovered_ranges_are_exactly_those_no_range_covers(
    wanted: tuple[int, int], covers: list[tuple[int, int]]
) -> None:
    missing = uncovered(wanted, covers)
    expected = set(range(*wanted)) - {offset for cover in covers for offset in range(*cover)}
    assert [offset for part in missing for offset in range(*part)] == sorted(expected)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(missing))


@given(st.none() | st.integers(0, 40), ranges, st.lists(ranges, max_size=4))
def test_runs_continue_at_the_end_of_the_manifest_and_skip_accepted_gaps_only(
    archived_end: int | None, log: tuple[int, int], accepted: list[tuple[int, int]]
) -> None:
    known = {offset for gap in accepted for offset in range(*gap)}
    lost = set() if archived_end is None else set(range(archived_end, log[0]))
    try:
        first, end = next_range(SOURCE, archived_end, log, accepted)
    except TopicRefused as error:
        assert archived_end is not None
        assert archived_end > log[1] or lost - known
        assert error.thing == "topic comments partition 3"
        return
    assert end == log[1]
    assert first == (log[0] if archived_end is None else max(log[0], archived_end))
    assert first <= end
    assert lost <= known


def test_a_range_deleted_by_retention_is_named_with_the_remedy() -> None:
    with pytest.raises(
        TopicRefused, match=r"topic comments partition 3: .*offsets \[10, 20\), \[25, 30\) are gone.*accept-gap --lake"
    ):
        next_range(SOURCE, 10, (30, 50), [(20, 25)])


def test_a_log_that_ends_before_the_lake_is_refused() -> None:
    with pytest.raises(TopicRefused, match=r"it ends at 9, but the lake contains offsets up to 10"):
        next_range(SOURCE, 10, (0, 9), [(0, 10)])
