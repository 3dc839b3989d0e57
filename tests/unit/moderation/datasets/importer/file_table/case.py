"""A row of the table, and what the importer makes of its file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from moderation.errors import ModerationError
from moderation.timestamps import moment_of
from tests.support.imports import read

HEADER = "id,body,created_utc,removed\n"
ROWS = "a1,Which lab ran it?,1682935200,0\na2,go home,1682935260,1\n"
PLAIN = HEADER + ROWS
OBJECTS: list[dict[str, Any]] = [
    {"id": "a1", "body": "Which lab ran it?", "created_utc": 1682935200, "removed": False},
    {"id": "a2", "body": "go home", "created_utc": 1682935260, "removed": True},
]
BODIES = ("Which lab ran it?", "go home")
MAY_1 = "2023-05-01T10:00:00"
MINUTES = (MAY_1, "2023-05-01T10:01:00")


@dataclass(frozen=True)
class Understood:
    """What the importer understands.

    Attributes:
        ids: of the rows that are used, separated by spaces.
        labels: a character for each of them: ``r`` removed, ``k`` kept, ``-`` none.
        times: the earliest and the latest, UTC; None if they are made up.
        bodies: the texts; those of a reported file are not compared.
        characters: of a reported file, those of the texts that are not ASCII, sorted.
        communities: sorted.
        encoding: of the first file; empty for none.
        left_out: counts by reason.
        repaired: rows that were changed.
    """

    ids: str
    labels: str
    times: tuple[str, str] | None = MINUTES
    bodies: tuple[str, ...] = BODIES
    characters: str = ""
    communities: tuple[str, ...] = ("unknown",)
    encoding: str = "utf-8"
    left_out: Mapping[str, int] = field(default_factory=dict)
    repaired: int = 0


@dataclass(frozen=True)
class FileCase:
    """A file.

    Attributes:
        name: of the file.
        contents: the contents, or a function that writes files into the folder; None for a reported file.
        outcome: what is understood, or the words of the refusal; ``FOLDER`` stands for the folder of the file.
        accepted: values of ``--accept``.
        stated: what is stated, columns as text.
        needs_labels: whether a training reads it.
    """

    name: str
    contents: str | bytes | Callable[[Path], object] | None
    outcome: Understood | str
    accepted: tuple[str, ...] = ()
    stated: dict[str, Any] = field(default_factory=dict)
    needs_labels: bool = True


def outcome_of(case: FileCase, path: Path) -> Understood | str:
    """Return what the importer understands, or the words of its refusal."""
    try:
        imported, rows = read(path, case.accepted, needs_labels=case.needs_labels, **dict(case.stated))
    except ModerationError as error:
        return str(error).replace(str(path.parent), "FOLDER")
    moments = sorted(row.comment.event_time_us for row in rows)
    known = {row.is_time_known for row in rows}
    assert len(known) == 1, "times are known or made up"
    bodies = tuple(row.comment.body for row in rows)
    is_reported = case.contents is None
    layout = imported.plan.files[0].layout
    return Understood(
        " ".join(row.comment.comment_id for row in rows),
        "".join(("r" if row.removed else "k") if row.has_label else "-" for row in rows),
        (_iso(moments[0]), _iso(moments[-1])) if known == {True} else None,
        BODIES if is_reported else bodies,
        "".join(sorted({each for each in "".join(bodies) if not each.isascii()})) if is_reported else "",
        tuple(sorted({row.comment.community for row in rows})),
        "" if layout is None else layout.encoding,
        {str(reason): count for reason, count in imported.report.left_out.items()},
        imported.report.repaired.total(),
    )


def placed(case: FileCase, folder: Path) -> Path:
    """Return the path of a file of the table, after writing it.

    Args:
        case: the file.
        folder: where it is written, or is already.
    """
    path = folder / case.name
    if isinstance(case.contents, str | bytes):
        path.write_bytes(case.contents.encode() if isinstance(case.contents, str) else case.contents)
    elif case.contents is not None:
        case.contents(folder)
    return path


def _iso(time_us: int) -> str:
    return moment_of(time_us).replace(tzinfo=None).isoformat()


def parquet_of(columns: Mapping[str, Any] | pa.Table) -> bytes:
    """Return a Parquet file with these columns."""
    file = io.BytesIO()
    parquet.write_table(columns if isinstance(columns, pa.Table) else pa.table(dict(columns)), file)
    return file.getvalue()


def zip_of(members: Mapping[str, str | bytes]) -> bytes:
    """Return a ZIP file with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return file.getvalue()


def files_of(contents: Mapping[str, str | bytes]) -> Callable[[Path], object]:
    """Return a function that writes files into a folder, and creates their folders."""

    def write(folder: Path) -> None:
        for name, each in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(each.encode() if isinstance(each, str) else each)

    return write
