from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.datasets.synthetic import Arrival, TrafficConfig, generate
from moderation.errors import ConfigurationError, DatasetError
from moderation.settings import Settings
from stream.source import Anchor, AsFastAsPossible, AtRate, AtRecordedTimes, CsvExport, Generated, History, SendPlan
from stream.source.arrivals import arrivals_of
from stream.source.checkpoint import CHECKPOINT_FILE, Checkpoint, exclusive_run, load_checkpoint, save_checkpoint
from stream.source.cli import instant, plan_of
from stream.source.delivery_log import DELIVERIES, Delivered, DurableLines, read_delivery_log
from stream.source.resume import chained_digest, remaining_arrivals, start_or_resume
from stream.source.time_shift import shifted
from tests.conftest import refuse_bad_row

CONFIG = TrafficConfig(days=1, comments_per_day=100)
DELIVERED = Delivered("comments", 3, 17, "ab" * 32, 1, 2)


def plan(folder: Path, **changes: object) -> SendPlan:
    return replace(SendPlan(Generated(CONFIG), folder), **changes)  # type: ignore[arg-type]


def everything(of: SendPlan) -> list[Arrival]:
    return list(arrivals_of(of, refuse_bad_row))


def test_a_checkpoint_reads_back_as_saved(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    first = Checkpoint("input", "target", -5)
    second = replace(first, arrivals=3, comments=1, actions=1, refused=1, digest="d")
    for checkpoint in (first, second):
        save_checkpoint(tmp_path, checkpoint)
        assert load_checkpoint(tmp_path) == checkpoint


def test_a_crash_while_saving_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, Checkpoint("input", "target", 0, arrivals=7))
    (tmp_path / CHECKPOINT_FILE).with_suffix(".new").write_bytes(b'{"input": "in')
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found.arrivals == 7


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b'{"input": "x"}'])
def test_a_damaged_checkpoint_is_refused_and_not_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT_FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"progress\.json"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_of_another_input_or_target_is_refused_naming_both(tmp_path: Path) -> None:
    start_or_resume(plan(tmp_path), "topics A")
    with pytest.raises(ConfigurationError, match=r"another input: generator seed=0 .*; this run has generator seed=8"):
        start_or_resume(plan(tmp_path, origin=Generated(replace(CONFIG, seed=8))), "topics A")
    with pytest.raises(ConfigurationError, match="another target: topics A; this run has topics B"):
        start_or_resume(plan(tmp_path), "topics B")
    assert start_or_resume(plan(tmp_path, pace=AtRate(5), limit=3), "topics A").arrivals == 0


def test_a_shift_to_now_is_fixed_by_the_first_run(tmp_path: Path) -> None:
    moved = plan(tmp_path, shift_to="now")
    first = start_or_resume(moved, "topics")
    assert first.shift_us != 0
    assert start_or_resume(moved, "topics") == first


def test_a_shift_puts_the_anchor_at_the_instant(tmp_path: Path) -> None:
    for number, anchor in enumerate([Anchor.FIRST, Anchor.LAST]):
        folder = tmp_path / str(number)
        folder.mkdir()
        moved = plan(folder, shift_to=10**15, anchor=anchor)
        times_us = [each.arrival_us for each in shifted(everything(moved), start_or_resume(moved, "topics").shift_us)]
        assert times_us[0 if anchor is Anchor.FIRST else -1] == 10**15


@given(st.integers(0, 60), st.lists(st.integers(0, 60)))
def test_the_chain_is_the_same_however_arrivals_are_batched(count: int, cuts: list[int]) -> None:
    arrivals = _sample[:count]
    digest = ""
    edges = sorted({0, count, *(cut for cut in cuts if cut < count)})
    for lo, hi in pairwise(edges):
        digest = chained_digest(digest, arrivals[lo:hi])
    assert digest == chained_digest("", arrivals)


_sample = list(generate(CONFIG))[:60]


def test_a_run_continues_after_the_acknowledged_arrivals(tmp_path: Path) -> None:
    whole = everything(plan(tmp_path))
    for done in (0, 1, 50, len(whole)):
        checkpoint = Checkpoint("i", "t", 0, arrivals=done, digest=chained_digest("", whole[:done]))
        assert list(remaining_arrivals(checkpoint, iter(whole), plan(tmp_path))) == whole[done:]


def test_changed_arrivals_are_refused(tmp_path: Path) -> None:
    checkpoint = Checkpoint("history x", "t", 0, arrivals=50, digest=chained_digest("", _sample[:50]))
    changed = [*_sample[:20], replace(_sample[20], value=b"other"), *_sample[21:]]
    for others in (changed, _sample[:49]):
        with pytest.raises(DatasetError, match="history x: its first 50 arrivals differ from those that were sent"):
            remaining_arrivals(checkpoint, iter(others), plan(tmp_path))


def test_a_limit_already_reached_leaves_nothing(tmp_path: Path) -> None:
    checkpoint = Checkpoint("i", "t", 0, arrivals=50, digest=chained_digest("", _sample[:50]))
    assert list(remaining_arrivals(checkpoint, iter(_sample[:30]), plan(tmp_path, limit=30))) == []
    assert list(remaining_arrivals(checkpoint, iter(_sample[:55]), plan(tmp_path, limit=55))) == _sample[50:55]


def test_a_state_folder_serves_one_source_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    with (
        exclusive_run(folder),
        pytest.raises(ConfigurationError, match="another source is using it"),
        exclusive_run(folder),
    ):
        pass
    with exclusive_run(folder):
        pass


def test_a_delivery_log_reads_back_and_grows_over_runs(tmp_path: Path) -> None:
    for offset in (1, 2):
        lines = DurableLines(tmp_path / DELIVERIES)
        lines.append([asdict(replace(DELIVERED, offset=offset)), replace(DELIVERED, offset=offset + 10)])
        lines.append([])
        lines.close()
    assert [each.offset for each in read_delivery_log(tmp_path)] == [1, 11, 2, 12]
    assert next(read_delivery_log(tmp_path)) == replace(DELIVERED, offset=1)


@pytest.mark.parametrize("torn", [b'{"topic"', b"x" * 200_000])
def test_a_line_that_a_crash_cut_short_is_not_read_and_removed_at_the_next_start(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / DELIVERIES
    for earlier in (0, 1):
        path.unlink(missing_ok=True)
        lines = DurableLines(path)
        lines.append([DELIVERED] * earlier)
        lines.close()
        with path.open("ab") as file:
            file.write(torn)
        assert len(list(read_delivery_log(tmp_path))) == earlier
        lines = DurableLines(path)
        lines.append([replace(DELIVERED, offset=99)])
        lines.close()
        assert list(read_delivery_log(tmp_path)) == [*[DELIVERED] * earlier, replace(DELIVERED, offset=99)]


def test_a_missing_or_damaged_delivery_log_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=DELIVERIES):
        list(read_delivery_log(tmp_path))
    (tmp_path / DELIVERIES).write_bytes(b"{}\n")
    with pytest.raises(DatasetError, match="line 1"):
        list(read_delivery_log(tmp_path))


def test_options_make_a_plan() -> None:
    settings = Settings(state_folder=Path("elsewhere"))
    assert plan_of(["--csv", "a.csv", "--fast"], settings) == SendPlan(
        CsvExport(Path("a.csv")), Path("elsewhere/source"), AsFastAsPossible()
    )
    words = (
        "--history h --speed 60 --shift-to now --shift-anchor last-comment --limit 9 --skip 2 --state s --no-actions"
    )
    assert plan_of(words.split(), settings) == SendPlan(
        History(Path("h")), Path("s"), AtRecordedTimes(60), False, 2, 9, "now", Anchor.LAST_COMMENT
    )
    words = "--generate --rate 5 --days 3 --comments-per-day 70 --seed 4 --late 0.1 --edited 0.2 --future 0.05"
    assert plan_of(words.split(), settings).origin == Generated(
        TrafficConfig(seed=4, days=3, comments_per_day=70, late_share=0.1, edit_share=0.2, future_share=0.05)
    )


@pytest.mark.parametrize(
    "words",
    ["--csv a", "--fast", "--csv a --generate --fast", "--csv a --fast --rate 3", "--csv a --fast --days 3", "--odd"],
)
def test_options_that_exclude_each_other_are_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        plan_of(words.split(), Settings())
    assert "Usage: " in capsys.readouterr().err


def test_an_instant_is_now_or_an_iso_time() -> None:
    assert instant("now") == "now"
    assert instant("2018-01-01") == instant("2018-01-01T01:00:00+01:00") == 1_514_764_800_000_000
    assert instant("2018-01-01T00:00:00.000007") == 1_514_764_800_000_007
    with pytest.raises(ConfigurationError, match="--shift-to: 'later'"):
        instant("later")
