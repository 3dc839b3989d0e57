"""Read the cells of the columns that a plan uses, row by row, from every kind of file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from moderation.datasets.importer.compression import DAMAGED, read_error
from moderation.datasets.importer.csv_rows import Unreadable, csv_records, numbered_lines
from moderation.datasets.importer.encoding import REPAIRABLE, has_escaped_bytes, repaired
from moderation.datasets.importer.json_rows import as_utf8, json_array_items, json_line_items, value_at
from moderation.datasets.importer.labels import UnknownLabel
from moderation.datasets.importer.mapping import label_role
from moderation.datasets.importer.parquet_rows import parquet_rows
from moderation.datasets.importer.plan import FilePlan, dialect_of
from moderation.datasets.importer.report import Repair
from moderation.datasets.importer.times import NoTime, time_us
from moderation.errors import DatasetError


class Cells(NamedTuple):
    """Cells of one row, in the order of the plan's positions, with the line or row number from 1."""

    line: int
    values: tuple[Any, ...]
    repair: Repair | None = None


def read_cells(plan: FilePlan, on_read: Callable[[int], None]) -> Iterator[Cells | Unreadable]:
    """Yield the cells of every row of a file.

    Args:
        plan: how to read it.
        on_read: called with the number of compressed bytes of every read.

    Raises:
        DatasetError: the file is damaged or incomplete.
    """
    layout = plan.layout
    if layout is None:
        raise DatasetError(plan.input.name, "a history folder has no rows of cells")
    read = _READERS[layout.kind]
    try:
        yield from read(plan, on_read)
    except (OSError, *DAMAGED) as error:
        raise read_error(plan.input.name, error) from error
    except UnicodeError as error:
        raise DatasetError(
            plan.input.name,
            f"it is not {layout.encoding} ({str(error)[:100]})",
            "State its encoding, e.g. --encoding utf-8 or cp1252.",
        ) from error


def _csv(plan: FilePlan, on_read: Callable[[int], None]) -> Iterator[Cells | Unreadable]:
    layout = plan.layout
    assert layout is not None  # noqa: S101 - checked by read_cells
    positions = tuple(plan.positions.values())
    # Every encoding accepts every byte: what cannot be decoded is repaired by row, or shows as U+FFFD.
    is_utf8 = layout.encoding.startswith("utf-8")
    with (
        plan.input.open(on_read) as stream,
        io.TextIOWrapper(stream, layout.encoding, errors=REPAIRABLE if is_utf8 else "replace", newline="") as text,
    ):
        lines = islice(numbered_lines(text), layout.skipped_lines, None)
        header = list(layout.names)
        for record in csv_records(lines, dialect_of(plan), len(layout.names), _plausibility(plan)):
            if isinstance(record, Unreadable):
                yield record
                continue
            if record.fields[0].strip() == header[0] and [field.strip() for field in record.fields] == header:
                yield Unreadable(record.line, "the line repeats the header")
                continue
            values = tuple([record.fields[position] for position in positions])
            repair = Repair.QUOTE if record.is_repaired else None
            if is_utf8 and any(map(has_escaped_bytes, values)):
                values, repair = tuple(map(repaired, values)), repair or Repair.ENCODING
            elif not is_utf8 and any("\ufffd" in value for value in values):
                repair = Repair.REPLACED
            yield Cells(record.line, values, repair)


def _plausibility(plan: FilePlan) -> Callable[[list[str]], bool]:
    """Return the function that decides whether fields could be a row: label and time can be read."""
    label, time = plan.mapping.label, plan.mapping.time
    label_at = [plan.positions[label_role(number)] for number in range(len(label.rules))] if label is not None else []
    time_at = plan.positions.get("time")

    def is_plausible(fields: list[str]) -> bool:
        try:
            if label is not None and label.of([fields[at] for at in label_at]) is None:
                return False
            if time is not None and time_at is not None:
                time_us(fields[time_at], time.rule)
        except (UnknownLabel, NoTime):
            return False
        return True

    return is_plausible


def _json_lines(plan: FilePlan, on_read: Callable[[int], None]) -> Iterator[Cells | Unreadable]:
    layout = plan.layout
    assert layout is not None  # noqa: S101 - checked by read_cells
    columns = [layout.names[position] for position in plan.positions.values()]
    with as_utf8(plan.input.open(on_read), layout.encoding) as stream:
        for item in json_line_items(stream):
            if isinstance(item, Unreadable):
                yield item
            else:
                values = tuple([value_at(item.fields, column) for column in columns])
                yield Cells(item.line, values, Repair.ENCODING if item.is_repaired else None)


def _json_array(plan: FilePlan, on_read: Callable[[int], None]) -> Iterator[Cells | Unreadable]:
    layout = plan.layout
    assert layout is not None  # noqa: S101 - checked by read_cells
    columns = [layout.names[position] for position in plan.positions.values()]
    with as_utf8(plan.input.open(on_read), layout.encoding) as stream:
        for item in json_array_items(stream, layout.prefix, plan.input.name):
            if isinstance(item, Unreadable):
                yield item
            else:
                yield Cells(item.line, tuple([value_at(item.fields, column) for column in columns]))


def _parquet(plan: FilePlan, on_read: Callable[[int], None]) -> Iterator[Cells | Unreadable]:
    size_bytes = plan.input.content_bytes

    def on_share(share: float) -> None:
        on_read(int(share * size_bytes))  # Arrow reads the file itself

    with plan.input.open_seekable() as stream:
        rows = parquet_rows(stream, plan.input.name, tuple(plan.positions.values()), on_share)
        for number, values in enumerate(rows, start=1):
            yield Cells(number, values)


_READERS: dict[str, Callable[[FilePlan, Callable[[int], None]], Iterator[Cells | Unreadable]]] = {
    "csv": _csv,
    "json-lines": _json_lines,
    "json-array": _json_array,
    "parquet": _parquet,
}
