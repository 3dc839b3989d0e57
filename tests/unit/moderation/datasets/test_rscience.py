from __future__ import annotations

from pathlib import Path

import pytest

from moderation.contracts import ActionKind
from moderation.datasets.history import BadRow, LabelledComment
from moderation.datasets.rscience import FIRST_TIME_US, REMOVED_AFTER_US, ROW_STEP_US, read_rscience
from moderation.errors import DatasetError

SECOND = '"","X","BODY","REMOVED"\n'
FIRST = "prev_idx,body,score,parent_id,id,created_date,retrieved_date,removed\n"


def read(path: Path) -> tuple[list[LabelledComment], list[BadRow]]:
    bad: list[BadRow] = []
    return list(read_rscience(path, bad.append)), bad


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "export.csv"
    path.write_bytes(text.encode("iso-8859-1"))
    return path


def test_the_schema_without_ids_and_times_is_filled_the_same_way_every_time(tmp_path: Path) -> None:
    path = write(tmp_path, SECOND + '"1","70","caf\xe9\nzwei","0"\n"2","90","gone","1"\n')
    (kept, removed), bad = read(path)
    assert bad == []
    assert (kept.comment.comment_id, kept.comment.body, kept.removed) == ("rscience-70", "café\nzwei", False)
    assert kept.comment.event_time_us == FIRST_TIME_US
    assert not kept.is_time_known
    assert removed.comment.event_time_us == FIRST_TIME_US + ROW_STEP_US
    assert removed.removed
    assert removed.action is not None
    assert removed.action.kind is ActionKind.REMOVE
    assert removed.action.action_time_us == removed.comment.event_time_us + REMOVED_AFTER_US
    assert removed.action.inclusion_probability == 1.0
    assert read(path) == ([kept, removed], [])


def test_the_schema_with_ids_and_times_keeps_them(tmp_path: Path) -> None:
    rows = (
        "1,hello,5,t1_p,abc,2018-01-05 00:04:29,2018-01-13 00:00:00,FALSE\n"
        "2,there,5,,def,1515110669.5,2018-01-13 00:00:00,True\n"
        "3,zone,5,,ghi,2018-01-05T02:04:29+02:00,x,0\n"
    )
    (first, second, third), bad = read(write(tmp_path, FIRST + rows))
    assert bad == []
    assert (first.comment.comment_id, first.comment.parent_id) == ("abc", "t1_p")
    assert first.comment.event_time_us == third.comment.event_time_us == 1_515_110_669_000_000
    assert (second.comment.parent_id, second.comment.event_time_us) == (None, 1_515_110_669_500_000)
    assert [first.removed, second.removed] == [False, True]
    assert first.is_time_known


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    (row,), _ = read(write(tmp_path, "REMOVED,id,BODY\n1,q,text\n"))
    assert (row.comment.comment_id, row.comment.body, row.removed) == ("q", "text", True)


def test_bad_rows_are_reported_with_their_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    rows = [
        '"1","1","fine","0"',
        '"2","2","too few"',
        '"3","3","no label","maybe"',
        f'"4","4","{"x" * 40_001}","0"',
        '"5","5","a\0b","1"',
        '"6","6","two\nlines","x"',
        '"7","7","fine again","1"',
    ]
    good, bad = read(write(tmp_path, SECOND + "\n".join(rows) + "\n"))
    assert [row.comment.body for row in good] == ["fine", "x" * 40_000, "a\ufffdb", "fine again"]
    assert good[3].comment.event_time_us == FIRST_TIME_US + 6 * ROW_STEP_US
    assert [row.line for row in bad] == [3, 4, 8]
    assert "3 columns where the header has 4" in bad[0].cause
    assert "'maybe'" in bad[1].cause


@pytest.mark.parametrize("when", ["yesterday", "inf", "nan", "-5", "9e30"])
def test_a_time_that_is_none_makes_a_bad_row(tmp_path: Path, when: str) -> None:
    good, bad = read(write(tmp_path, FIRST + f"1,hello,5,,abc,{when},x,0\n"))
    assert good == []
    assert [row.line for row in bad] == [2]


def test_a_file_that_is_no_export_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no columns BODY and REMOVED"):
        read(write(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(DatasetError, match="the file is empty"):
        read(write(tmp_path, ""))
    with pytest.raises(DatasetError, match=r"absent\.csv"):
        read(tmp_path / "absent.csv")


def test_the_real_export_reads_whole(rscience: list[LabelledComment]) -> None:
    assert len(rscience) == 5_000
    assert sum(row.removed for row in rscience) == 1_617
    assert len({row.comment.comment_id for row in rscience}) == 5_000
