"""Read the public r/science exports, which have two schemas.

    prev_idx,body,score,parent_id,id,created_date,retrieved_date,removed
    "",X,BODY,REMOVED

The files are ISO-8859-1. Columns are found by name, in any order. Missing values are derived from the row, so that
reading a file twice gives the same records: the id from the export's row number, a time one minute after the previous
row, and the removal an hour after the comment.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moderation.contracts import Action, ActionKind, Comment, parse_record, to_json
from moderation.contracts.records import MAX_RECORD_BYTES, MAX_TIME_US
from moderation.datasets.history import BadRow, LabelledComment
from moderation.errors import DatasetError, InvalidRecord

COMMUNITY = "science"
FIRST_TIME_US = 1_514_764_800_000_000  # 2018-01-01T00:00:00Z
ROW_STEP_US = 60 * 1_000_000
REMOVED_AFTER_US = 3_600 * 1_000_000
_LABELS = {"0": False, "1": True, "false": False, "true": True}


def read_rscience(path: Path, on_bad_row: Callable[[BadRow], None]) -> Iterator[LabelledComment]:
    """Read an export.

    Args:
        path: the CSV file.
        on_bad_row: called with every row that is left out.

    Yields:
        Comments with the recorded removal, in the order of the file.

    Raises:
        DatasetError: the file cannot be opened, or its header has neither schema.
    """
    csv.field_size_limit(MAX_RECORD_BYTES)
    try:
        file = path.open(encoding="iso-8859-1", newline="")
    except OSError as error:
        raise DatasetError(str(path), error.strerror or str(error), "Name a readable CSV file.") from error
    with file:
        rows = csv.reader(file)
        columns = _columns(path, next(rows, []))
        index = 0
        while True:
            try:
                row = next(rows)
                labelled = _labelled(row, columns, index)
            except StopIteration:
                return
            except (csv.Error, ValueError, OverflowError, InvalidRecord) as error:
                cause = error.cause if isinstance(error, InvalidRecord) else str(error)
                on_bad_row(BadRow(rows.line_num, cause))
            else:
                yield labelled
            index += 1


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    if not header:
        raise DatasetError(str(path), "the file is empty", "Give one of the r/science exports.")
    columns = {name.strip().lower(): index for index, name in enumerate(header)}
    if not {"body", "removed"} <= columns.keys():
        raise DatasetError(
            str(path), f"its header {header[:8]} has no columns BODY and REMOVED", "Give one of the r/science exports."
        )
    return columns


def _labelled(row: list[str], columns: dict[str, int], index: int) -> LabelledComment:
    if len(row) != len(columns):
        raise ValueError(f"{len(row)} columns where the header has {len(columns)}")

    def cell(name: str) -> str:
        position = columns.get(name)
        return "" if position is None else row[position].strip()

    label = _LABELS.get(cell("removed").lower())
    if label is None:
        raise ValueError(f"removed is {cell('removed')[:40]!r}, neither 0 nor 1")
    number = cell("x") or cell("prev_idx") or cell("") or str(index)
    created = cell("created_date")
    fields: dict[str, Any] = {
        "comment_id": cell("id") or f"rscience-{number}",
        "community": COMMUNITY,
        "body": row[columns["body"]],
        "event_time_us": _time_us(created) if created else FIRST_TIME_US + index * ROW_STEP_US,
        "parent_id": cell("parent_id") or None,
    }
    # Use the parser of the topic, so that the same limits apply.
    comment = parse_record(to_json(Comment(**fields)), MAX_TIME_US)
    action = None
    if label:
        action = Action(
            comment_id=comment.comment_id,
            kind=ActionKind.REMOVE,
            moderator_key="r/science",
            reason="recorded in the export",
            action_time_us=comment.event_time_us + REMOVED_AFTER_US,
            inclusion_probability=1.0,
        )
    return LabelledComment(comment, action, is_time_known=bool(created))


def _time_us(text: str) -> int:
    """Convert an ISO date (UTC without zone) or seconds since the epoch to microseconds."""
    try:
        seconds = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    time_us = round(seconds * 1_000_000)
    if not 0 <= time_us <= MAX_TIME_US:
        raise ValueError(f"created_date {text[:40]!r} is not between 1970 and 9999")
    return time_us
