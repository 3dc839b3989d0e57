from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.contracts import FIRST_RULES, NEWEST_RULES, Fate
from moderation.panes import LATENESS_US, PANE_US, OpenPanes, is_closed, pane_start_us
from moderation.watermark import RunningMaximum
from tests.support.event_time_rules import HOUR_US, fates_and_maxima_of
from tests.support.properties import examples

# Times within two hours on a grid of 50 s, so that pane borders, equal times and closed panes are all common; a few
# are hours ahead.
TIMES = st.builds(
    lambda step, hours: step * 50_000_000 + hours * HOUR_US, st.integers(0, 144), st.sampled_from([0] * 12 + [2, 3, 8])
)
LOGS = st.lists(st.tuples(TIMES, st.sampled_from("abc")), max_size=40)


@examples(quick=600, thorough=5_000)
@given(log=LOGS, data=st.data())
def test_fates_do_not_depend_on_batches_and_restarts(log: list[tuple[int, str]], data: st.DataObject) -> None:
    rows = [(time_us, f"{name}{time_us}".encode(), name) for time_us, name in log]
    cuts = sorted({0, len(log), *data.draw(st.lists(st.integers(0, len(log)), max_size=5))})
    first_of_second_version = data.draw(st.sampled_from([0, 0, *cuts]))
    expected = fates_and_maxima_of(rows, lambda index: 2 if index >= first_of_second_version else 1)
    open_panes, found = OpenPanes(), []
    for lo, hi in itertools.pairwise(cuts):
        times, ids = [row[0] for row in rows[lo:hi]], [row[1] for row in rows[lo:hi]]
        asked = (
            times,
            ids,
            [row[2] for row in rows[lo:hi]],
            NEWEST_RULES if lo >= first_of_second_version else FIRST_RULES,
        )
        fates, maximum = open_panes.fates(*asked)
        if data.draw(st.booleans()):  # decided, not stored, decided again
            assert open_panes.fates(*asked) == (fates, maximum)
        open_panes.remember(times, ids, fates, maximum)
        found += fates
        assert maximum == expected[hi - 1][1]
        if data.draw(st.booleans()):  # restored from the ledger
            counted: list[tuple[int, bytes]] = []
            for (time_us, record_id, _), fate in zip(rows[:hi], found, strict=True):
                if fate is Fate.COUNTED and not is_closed(pane_start_us(time_us), maximum.newest_event_us):
                    counted.append((time_us, record_id))
            open_panes = OpenPanes(maximum, counted)
    assert found == [fate for fate, _ in expected]


def fates_of(panes: OpenPanes, times_us: list[int], ids: list[bytes]) -> list[Fate]:
    return panes.fates(times_us, ids, [record_id.hex() for record_id in ids], NEWEST_RULES)[0]


def taken(panes: OpenPanes, times_us: list[int], ids: list[bytes]) -> list[Fate]:
    fates, maximum = panes.fates(times_us, ids, [record_id.hex() for record_id in ids], NEWEST_RULES)
    panes.remember(times_us, ids, fates, maximum)
    return fates


def test_records_are_late_once_the_watermark_reaches_the_end_of_their_pane() -> None:
    first_us = 7 * PANE_US
    end_us = first_us + PANE_US
    for newest_us, late in ((end_us + LATENESS_US - 1, False), (end_us + LATENESS_US, True)):
        panes = OpenPanes(RunningMaximum(newest_us))
        assert fates_of(panes, [first_us, end_us - 1], [b"1", b"2"]) == [Fate.LATE if late else Fate.COUNTED] * 2
        assert fates_of(panes, [end_us], [b"3"]) == [Fate.COUNTED]


def test_a_record_does_not_make_itself_or_earlier_records_late() -> None:
    fates = fates_of(OpenPanes(), [0, 12 * PANE_US, 0], [b"1", b"2", b"3"])
    assert fates == [Fate.COUNTED, Fate.COUNTED, Fate.LATE]


def test_a_comment_far_ahead_makes_no_other_late_until_another_confirms_it() -> None:
    panes = OpenPanes()
    far_us = 100 * PANE_US
    assert taken(panes, [0, far_us, 0, far_us], [b"1", b"far", b"2", b"far"]) == [
        Fate.COUNTED,
        Fate.COUNTED,
        Fate.COUNTED,
        Fate.DUPLICATE,
    ]
    assert taken(panes, [far_us + 1, 0], [b"other", b"3"]) == [Fate.COUNTED, Fate.LATE]


def test_late_is_decided_before_duplicate() -> None:
    panes = OpenPanes()
    taken(panes, [0, 12 * PANE_US], [b"1", b"2"])
    assert fates_of(panes, [0, 12 * PANE_US], [b"1", b"2"]) == [Fate.LATE, Fate.DUPLICATE]


def test_only_the_ids_of_open_panes_are_remembered() -> None:
    panes = OpenPanes()
    for step in range(200):
        taken(panes, [step * PANE_US], [bytes([step])])
    assert panes.remembered == LATENESS_US // PANE_US + 1


@pytest.mark.parametrize("newest_us", [None, 0])
def test_nothing_is_closed_at_the_beginning(newest_us: int | None) -> None:
    assert not is_closed(0, newest_us)
