"""The delivery report: what the broker acknowledged, record by record, for whoever checks the system from outside.

``deliveries.jsonl`` has one line per acknowledged record of ``comments``. Each line is true: the record is in the topic
at that offset. The reverse holds except for a crash: records acknowledged in the last moment before it may be in
the topic without a line, and are then sent, and reported, once more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from moderation.errors import SourceError

DELIVERIES = "deliveries.jsonl"
REFUSALS = "refused.jsonl"
_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Delivered:
    """An acknowledged record.

    Attributes:
        topic: full name of the topic, prefix included.
        partition: where the broker put it.
        offset: its place in the partition.
        sha256: hex digest of the value.
        sent_us: when it was handed to the producer, microseconds since the epoch.
        acknowledged_us: when its acknowledgement was seen, microseconds since the epoch.
    """

    topic: str
    partition: int
    offset: int
    sha256: str
    sent_us: int
    acknowledged_us: int


class DurableLines:
    """A file of JSON lines that only grows. A line that a crash cut short is removed when it is opened.

    Args:
        path: the file; made if absent.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+")
        self._file.truncate(_end_of_last_line(self._file))

    def append(self, records: Iterable[Any]) -> None:
        """Write records and wait until they are on disk.

        Raises:
            OSError: they cannot be written.
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
    """The deliveries reported in a state folder, in the order in which batches were acknowledged.

    Raises:
        SourceError: there is no report, or a line of it is damaged.
    """
    path = state / DELIVERIES
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    return  # being written, or cut short by a crash
                try:
                    yield Delivered(**orjson.loads(line))
                except (ValueError, TypeError) as error:
                    raise SourceError(f"{path}, line {number}", str(error), "Restore the file.") from error
    except OSError as error:
        raise SourceError(str(path), error.strerror or str(error), "Run the source with this --state.") from error


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
