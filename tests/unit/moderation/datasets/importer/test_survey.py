from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from moderation.datasets.importer import FIRST_TIME_US, REMOVED_AFTER_US, ROW_STEP_US, plain_import
from moderation.datasets.importer.authors import pseudonym
from moderation.errors import DatasetError

HEADER = "id,body,created_utc,removed\n"


def write(path: Path, rows: int) -> Path:
    with path.open("w") as file:
        file.write(HEADER)
        file.writelines(f"c{n},comment number {n} {'x' * 300},{1682935200 + n},{n % 2}\n" for n in range(rows))
    return path


def peak_bytes(path: Path) -> int:
    tracemalloc.start()
    for _ in plain_import(path).comments():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.slow
def test_memory_hardly_depends_on_the_number_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moderation.datasets.importer.repeats.ROWS_IN_MEMORY", 500)
    few, many = (write(tmp_path / f"{rows}.csv", rows) for rows in (1_000, 4_000))
    peak_bytes(few)  # imports and caches
    grown = (peak_bytes(many) - peak_bytes(few)) / 3_000
    assert grown < 20, f"{grown:.1f} bytes a row"


def test_rows_without_id_are_the_same_if_text_time_and_author_are(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    rows = ["ann,hm,1682935200,0", "bob,hm,1682935200,0", "ann,hm,1682935201,0", "ann,hm,1682935200,0"]
    path.write_text("author,body,created_utc,removed\n" + "\n".join(rows) + "\n")
    imported = plain_import(path, accepted=("left-out",))
    assert [row.comment.author_key for row in imported.comments()] == [
        pseudonym(name, b"") for name in ("ann", "bob", "ann")
    ]
    assert [(bad.line, bad.cause) for bad in imported.bad_rows] == [(5, "the same row occurs elsewhere")]


def test_a_later_dump_without_the_author_repeats_the_row(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("id,author,body,removed\na,ann,hm,0\na,[deleted],hm,0\nb,[deleted],hm,0\n")
    imported = plain_import(path, accepted=("left-out", "times"))
    assert [(row.comment.comment_id, row.comment.author_key) for row in imported.comments()] == [
        ("a", pseudonym("ann", b"")),
        ("b", None),
    ]


def test_an_edit_is_a_row_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(HEADER + "a,hm,1682935200,0\na,hm!,1682935200,1\n")
    assert [row.comment.body for row in plain_import(path).comments()] == ["hm", "hm!"]


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    imported = plain_import(write(tmp_path / "export.csv", 10))
    write(tmp_path / "export.csv", 9)
    with pytest.raises(DatasetError, match="has changed while it was read: 10 rows to use, then 9"):
        list(imported.comments())


def test_another_text_in_the_same_row_is_a_change_too(tmp_path: Path) -> None:
    path = write(tmp_path / "export.csv", 10)
    imported = plain_import(path)
    path.write_text(path.read_text().replace("comment number 7", "comment number 8"))
    with pytest.raises(DatasetError, match="has changed while it was read\\. Run"):
        list(imported.comments())


@pytest.mark.parametrize("rows", ["aabc", "abac", "aacb"])
@pytest.mark.parametrize("changed", ["bcaa", "abca", "aaBC"])
def test_another_order_and_other_labels_are_changes_too(tmp_path: Path, rows: str, changed: str) -> None:
    path = tmp_path / "export.csv"
    lines = {"a": "a,hm,1682935200,0\n", "b": "b,so,1682935200,0\n", "c": "c,no,1682935200,1\n"}
    lines |= {"B": "b,so,1682935200,1\n", "C": "c,no,1682935200,0\n"}
    path.write_text(HEADER + "".join(map(lines.__getitem__, rows)))
    imported = plain_import(path, accepted=("left-out",))
    path.write_text(HEADER + "".join(map(lines.__getitem__, changed)))
    with pytest.raises(DatasetError, match="has changed while it was read"):
        list(imported.comments())


def test_the_export_without_times_is_filled_the_same_way_every_time(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    text = '"","X","BODY","REMOVED"\n"1","70","caf\xe9\nzwei","0"\n"2","90","gone","1"\n'
    path.write_bytes(text.encode("iso-8859-1"))
    imported = plain_import(path)
    kept, removed = imported.comments()
    assert (kept.comment.comment_id, kept.comment.community, kept.comment.body) == (
        *("rscience-70", "science"),
        "caf\xe9\nzwei",
    )
    assert not kept.is_time_known
    assert kept.comment.event_time_us == FIRST_TIME_US
    assert removed.comment.event_time_us == FIRST_TIME_US + ROW_STEP_US
    assert removed.action is not None
    assert removed.action.action_time_us == removed.comment.event_time_us + REMOVED_AFTER_US
    assert list(imported.comments()) == [kept, removed]
