from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.contracts import Fate
from moderation.panes import LATENESS_US, PANE_US, OpenPanes, is_closed, pane_start_us
from tests.support.event_time_law import fates_of
from tests.support.properties import examples

# Times within two hours on a grid of 50 s, so that pane borders, equal times and closed panes are all common.
TIMES = st.integers(0, 144).map(lambda step: step * 50_000_000)
LOGS = st.lists(st.tuples(TIMES, st.sampled_from([b"a", b"b", b"c"])), max_size=40).map(
    lambda rows: [(time_us, name + str(time_us).encode()) for time_us, name in rows]
)


@examples(quick=600, thorough=5_000)
@given(log=LOGS, data=st.data())
def test_fates_are_the_same_however_the_log_is_cut_and_however_often_it_is_taken_up_again(
    log: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    cuts = sorted({0, len(log), *data.draw(st.lists(st.integers(0, len(log)), max_size=5))})
    open_panes, found = OpenPanes(), []
    for lo, hi in itertools.pairwise(cuts):
        times, ids = [row[0] for row in log[lo:hi]], [row[1] for row in log[lo:hi]]
        fates = open_panes.fates(times, ids)
        if data.draw(st.booleans()):  # decided, never stored, decided again
            assert open_panes.fates(times, ids) == fates
        open_panes.remember(times, ids, fates)
        found += fates
        if data.draw(st.booleans()):  # taken up from what the ledger holds
            counted: dict[int, set[bytes]] = {}
            for (time_us, record_id), fate in zip(log[:hi], found, strict=True):
                if fate is Fate.COUNTED and not is_closed(pane_start_us(time_us), open_panes.newest_event_us):
                    counted.setdefault(pane_start_us(time_us), set()).add(record_id)
            open_panes = OpenPanes(open_panes.newest_event_us, counted)
    assert found == fates_of(log)


def test_a_pane_is_late_from_the_record_on_whose_watermark_reaches_its_end() -> None:
    first_us = 7 * PANE_US
    end_us = first_us + PANE_US
    for newest_us, late in ((end_us + LATENESS_US - 1, False), (end_us + LATENESS_US, True)):
        panes = OpenPanes(newest_us)
        assert panes.fates([first_us, end_us - 1], [b"1", b"2"]) == [Fate.LATE if late else Fate.COUNTED] * 2
        assert panes.fates([end_us], [b"3"]) == [Fate.COUNTED]


def test_a_records_own_time_does_not_make_it_or_its_batch_mates_before_it_late() -> None:
    far_us = 100 * PANE_US
    fates = OpenPanes().fates([0, far_us, 0], [b"1", b"2", b"3"])
    assert fates == [Fate.COUNTED, Fate.COUNTED, Fate.LATE]


def test_late_is_decided_before_duplicate() -> None:
    panes = OpenPanes()
    panes.remember([0], [b"1"], panes.fates([0], [b"1"]))
    panes.remember([100 * PANE_US], [b"2"], [Fate.COUNTED])
    assert panes.fates([0, 100 * PANE_US], [b"1", b"2"]) == [Fate.LATE, Fate.DUPLICATE]


def test_only_the_ids_of_open_panes_are_remembered() -> None:
    panes = OpenPanes()
    for step in range(200):
        panes.remember([step * PANE_US], [bytes([step])], [Fate.COUNTED])
    assert len(panes._counted) == LATENESS_US // PANE_US + 1


@pytest.mark.parametrize("newest_us", [None, 0])
def test_nothing_is_closed_at_the_beginning(newest_us: int | None) -> None:
    assert not is_closed(0, newest_us)
