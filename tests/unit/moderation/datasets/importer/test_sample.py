from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.datasets.importer import plain_import
from moderation.datasets.importer.sample import draw_sample
from moderation.datasets.recorded import write_history
from moderation.datasets.synthetic import TrafficConfig, generate

HEADER = "id,body,created_utc,removed\n"


def export(path: Path, rows: int) -> Path:
    """A file of which every fifth comment was removed, and one row repeats another."""
    lines = [f"c{n},comment number {n},{1682935200 + n},{int(n % 5 == 0)}\n" for n in range(rows)]
    path.write_text(HEADER + "".join([*lines, lines[3]]))
    return path


@given(st.integers(2, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 2**40))
def test_a_sample_has_the_size_and_the_share_of_removed_ones_that_it_states(
    most: int, kept: int, removed: int, seed: int
) -> None:
    sample = draw_sample(most, kept, removed, seed)
    if kept + removed <= most:
        assert sample is None
        return
    assert sample is not None
    drawn = {label: sum(sample.drawn[label]) for label in (False, True)}
    assert sum(drawn.values()) == sample.comments == most
    assert (len(sample.drawn[False]), len(sample.drawn[True])) == (kept, removed)
    assert abs(drawn[True] - most * removed / (kept + removed)) <= 1
    assert draw_sample(most, kept, removed, seed) == sample


def test_the_draw_is_the_same_in_every_release() -> None:
    """Else a training could not be repeated."""
    sample = draw_sample(6, 12, 8, seed=1)
    assert sample is not None
    assert {label: "".join(map(str, drawn)) for label, drawn in sample.drawn.items()} == {
        False: DRAWN_KEPT,
        True: DRAWN_REMOVED,
    }


DRAWN_KEPT, DRAWN_REMOVED = "001010010100", "00000110"


def test_every_comment_is_equally_likely() -> None:
    counts = [0] * 40
    for seed in range(600):
        sample = draw_sample(10, 40, 0, seed)
        assert sample is not None
        counts = [count + drawn for count, drawn in zip(counts, sample.drawn[False], strict=True)]
    assert sum(counts) == 6_000
    assert all(100 < count < 200 for count in counts), "150 on average"


def test_an_import_reads_its_sample_in_the_order_of_the_file(tmp_path: Path) -> None:
    imported = plain_import(export(tmp_path / "export.csv", 200), accepted=("left-out",))
    everything = list(imported.comments())
    imported.take_sample(50, seed=3)
    some = list(imported.comments())
    assert (len(everything), len(some), sum(row.removed for row in some)) == (200, 50, 10)
    assert some == [row for row in everything if row in some]
    assert some == list(imported.comments())
    assert imported.lineage()["import"]["sample"] == {"comments": 50, "of": 200, "seed": 3}
    assert imported.bad_row_count == 1, "the repeated row"
    imported.take_sample(50, seed=4)
    assert some != list(imported.comments())
    imported.take_sample(200, seed=4)
    assert list(imported.comments()) == everything
    assert imported.lineage()["import"]["sample"] is None


@pytest.mark.slow
def test_a_history_folder_is_counted_before_its_sample_is_drawn(tmp_path: Path) -> None:
    write_history(tmp_path, generate(TrafficConfig(days=1, comments_per_day=300)), lambda count: None)
    imported = plain_import(tmp_path)
    everything = list(imported.comments())
    imported.take_sample(100, seed=0)
    some = list(imported.comments())
    assert len(some) == 100
    share = sum(row.removed for row in everything) / len(everything)
    assert sum(row.removed for row in some) == round(100 * share)
