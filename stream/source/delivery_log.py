"""Delivery log: one line per acknowledged record, for checks that are independent of the system.

``deliveries.jsonl`` has one line per acknowledged record of ``comments``: the record is in the topic at that offset.
Conversely, every acknowledged record has a line, except after a crash: records acknowledged just before it may be in
the topic without a line. They are then sent and logged again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from moderation.errors import DatasetError

DELIVERIES = "deliveries.jsonl"
REFUSALS = "refused.jsonl"
_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Delivered:
    """An acknowledged record.

    Attributes:
        topic: full name of the topic, prefix included.
        partition, offset: position in the topic.
        sha256: hex digest of the value.
        sent_us: when the producer got it, microseconds since the epoch.
        acknowledged_us: when the acknowledgement arrived, microseconds since the epoch.
    """

    topic: str
    partition: int
    offset: int
    sha256: str
    sent_us: int
    acknowledged_us: int


class DurableLines:
    """Append-only file of JSON lines. Opening it removes a line that a crash cut short.

    Args:
        path: the file; created if absent.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+")
        self._file.truncate(_end_of_last_line(self._file))

    def append(self, records: Iterable[Any]) -> None:
        """Append records and wait until they are on disk.

        Raises:
            OSError: the file cannot be written.
        """
        lines = b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)
        if lines:
            self._file.write(lines)
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_delivery_log(state: Path) -> Iterator[Delivered]:
    """Yield the deliveries logged in a state folder, in the order in which batches were acknowledged.

    Raises:
        DatasetError: there is no delivery log, or a line of it is damaged.
    """
    path = state / DELIVERIES
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    return  # incomplete: being written, or cut short by a crash
                try:
                    yield Delivered(**orjson.loads(line))
                except (ValueError, TypeError) as error:
                    raise DatasetError(f"{path}, line {number}", str(error), "Restore the file.") from error
    except OSError as error:
        raise DatasetError(str(path), error.strerror or str(error), "Run the source with this --state.") from error


def _end_of_last_line(file: Any) -> int:
    end: int = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        index = file.read(end - start).rfind(b"\n")
        if index >= 0:
            return int(start + index + 1)
        end = start
    return 0
