"""Folders of recorded histories are read as labelled comments."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from moderation.contracts import Action, ActionKind, Comment, to_json
from moderation.datasets import history_index
from moderation.datasets.history import BadRow
from moderation.datasets.recorded import ACTIONS, ARRIVALS, COMMENTS, read_history, write_history
from moderation.datasets.synthetic import Arrival
from moderation.errors import DatasetError
from tests.conftest import refuse_bad_row
from tests.support.imports import MAY_1_US

SECOND_US = 1_000_000


def comment(number: int, body: str = "Which lab ran it?", at_us: int = MAY_1_US) -> Arrival:
    value = Comment(comment_id=f"c{number:07}", community="x", body=body, event_time_us=at_us)
    return Arrival(at_us, "comments", value.comment_id, to_json(value), None, False)


def action(number: int, kind: ActionKind, at_us: int = MAY_1_US + SECOND_US) -> Arrival:
    value = Action(f"c{number:07}", kind, "m", "r", at_us, 1.0)
    return Arrival(at_us, "actions", value.comment_id, to_json(value), None, None)


def write(folder: Path, *arrivals: Arrival) -> Path:
    write_history(folder, iter(arrivals), lambda count: None)
    return folder


def labels(folder: Path) -> list[tuple[str, bool]]:
    return [(row.comment.comment_id, row.removed) for row in read_history(folder, refuse_bad_row)]


def test_the_latest_action_decides_and_of_simultaneous_ones_the_last_of_the_file(tmp_path: Path) -> None:
    remove, approve = ActionKind.REMOVE, ActionKind.APPROVE
    later_us = MAY_1_US + 9 * SECOND_US
    folder = write(
        tmp_path,
        *(comment(number) for number in range(4)),
        *(action(0, remove, later_us), action(0, approve)),
        *(action(1, remove), action(1, approve, later_us)),
        *(action(2, approve), action(2, remove)),
    )
    assert labels(folder) == [("c0000000", True), ("c0000001", False), ("c0000002", True), ("c0000003", False)]


def test_a_repeated_record_is_read_once_and_an_edit_is_another_record(tmp_path: Path) -> None:
    folder = write(tmp_path, comment(0), comment(1), comment(0), comment(0, "Edited."), comment(1))
    rows = list(read_history(folder, refuse_bad_row))
    assert [(row.comment.comment_id, row.comment.body) for row in rows] == [
        ("c0000000", "Which lab ran it?"),
        ("c0000001", "Which lab ran it?"),
        ("c0000000", "Edited."),
    ]


def test_lines_that_are_no_records_are_reported(tmp_path: Path) -> None:
    folder = write(tmp_path, comment(0), action(0, ActionKind.REMOVE))
    for name, note in ((COMMENTS, b"junk\n"), (ACTIONS, b"[]\n"), (ARRIVALS, b'{"arrival_us": 1, "injected": null}\n')):
        with (folder / name).open("ab") as file:
            file.write(note)
    bad: list[BadRow] = []
    assert [row.removed for row in read_history(folder, bad.append)] == [True]
    assert [row.line for row in bad] == [2, 2]


@pytest.mark.parametrize(
    ("notes", "cause"),
    [
        (b"", "one of them has only 0 lines"),
        (b'{"arrival_us": %d}\n' % MAY_1_US * 3, "one of them has only 2 lines"),
        (b'{"arrival": 1}\n' * 2, "'arrival_us'"),
        (b"[]\n" * 2, r"arrivals\.jsonl: it does not belong"),
        (b"junk\n" * 2, r"arrivals\.jsonl: it does not belong"),
    ],
    ids=["empty", "long", "other-key", "arrays", "junk"],
)
def test_arrivals_that_do_not_match_the_comments_are_refused(notes: bytes, cause: str, tmp_path: Path) -> None:
    folder = write(tmp_path, comment(0), comment(1))
    (folder / ARRIVALS).write_bytes(notes)
    with pytest.raises(DatasetError, match=cause):
        labels(folder)


def test_a_folder_without_actions_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, comment(0))
    (folder / ACTIONS).unlink()
    with pytest.raises(DatasetError, match=r"No such file or directory: .*actions\.jsonl"):
        labels(folder)


def traced_bytes(folder: Path) -> int:
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_history(folder, refuse_bad_row)) > 0
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_history(tmp_path: Path) -> None:
    def arrivals(count: int) -> Iterator[Arrival]:
        for number in range(count):
            yield comment(number)
            yield action(number, ActionKind.REMOVE)

    small, large = (write(tmp_path / str(count), *arrivals(count)) for count in (100, 4_000))
    traced_bytes(small)  # what the first reading imports and caches stays
    grown = traced_bytes(large) - traced_bytes(small)
    assert grown < 100_000  # ids and actions in memory take more than 600 bytes a comment, 2 million in all


def test_more_ids_than_fit_into_the_cache_are_found_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(history_index, "CACHE_KIB", 64)
    ids = [number.to_bytes(32, "little") for number in range(5_000)]
    with history_index.history_index() as index:
        assert all(index.is_new(each) for each in ids)
        assert not any(index.is_new(each) for each in ids)
        index.add_actions((f"c{number}", number, orjson.dumps(number)) for number in range(5_000))
        assert [index.last_action(f"c{number}") for number in (0, 4_999, 5_000)] == [b"0", b"4999", None]


def test_a_database_that_cannot_be_written_is_named_with_its_folder() -> None:
    with history_index.history_index() as index:
        index._database.execute("PRAGMA max_page_count = 4")
        numbers = (number.to_bytes(32, "little") for number in range(10_000))
        with pytest.raises(
            DatasetError, match=r"cannot be written to .* \(database or disk is full\).*TMPDIR"
        ) as error:
            all(map(index.is_new, numbers))
    assert isinstance(error.value.__cause__, sqlite3.Error)
