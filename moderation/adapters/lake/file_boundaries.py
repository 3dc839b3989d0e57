"""Divide records into lake files and row groups: a pure function of the log and of the limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from moderation.adapters.kafka.topic_reader import LogRecord
from moderation.timestamps import day_of

MEBIBYTE = 1024 * 1024
_FIXED_BYTES = 64


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Size limits of a file and its row groups.

    Attributes:
        file_rows: records in a file.
        file_bytes: bytes of keys, values and headers in a file, before compression; one record may exceed it.
        group_rows: records in a row group, which is in memory until it is written.
        group_bytes: bytes of keys, values and headers in a row group; one record may exceed it.
    """

    file_rows: int = 500_000
    file_bytes: int = 256 * MEBIBYTE
    group_rows: int = 50_000
    group_bytes: int = 32 * MEBIBYTE


def size_of(record: LogRecord) -> int:
    """Approximate size of a record in memory, in bytes."""
    size = _FIXED_BYTES + len(record.key or b"") + len(record.value or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"")
    return size


class Sections:
    """Assigns section numbers to records; a section contains one day and stays within the limits.

    Args:
        most_rows: records in a section.
        most_bytes: bytes in a section; one record may exceed it.
    """

    def __init__(self, most_rows: int, most_bytes: int) -> None:
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._rows = self._bytes = self._number = 0
        self._day: date | None = None

    def assign(self, record: LogRecord) -> tuple[int, date]:
        """Return the section number of the next record, and its UTC day."""
        day, size = day_of(record.append_us), size_of(record)
        if self._rows and (day != self._day or self._rows >= self._most_rows or self._bytes + size > self._most_bytes):
            self._number += 1
            self._rows = self._bytes = 0
        self._day = day
        self._rows += 1
        self._bytes += size
        return self._number, day


def in_files(records: Iterable[LogRecord], limits: FileLimits) -> Iterator[tuple[date, Iterator[LogRecord]]]:
    """Divide a contiguous range of records into files.

    Yields:
        The UTC day of a file, and its records; consume them before the next file.
    """
    sections = Sections(limits.file_rows, limits.file_bytes)
    for (_, day), group in groupby(records, key=sections.assign):
        yield day, group


def in_groups(records: Iterable[LogRecord], limits: FileLimits) -> Iterator[list[LogRecord]]:
    """Divide the records of one file into row groups."""
    sections = Sections(limits.group_rows, limits.group_bytes)
    for _, group in groupby(records, key=sections.assign):
        yield list(group)
