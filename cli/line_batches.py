"""Read the lines of a byte stream in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from moderation.contracts.records import MAX_RECORD_BYTES


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a stream without their line breaks.

    A line that exceeds the size limit of a record is cut one byte after the limit, so that it is refused as too large.
    """
    most = MAX_RECORD_BYTES + 1
    while line := stream.readline(most + 1):
        if line.endswith(b"\n"):
            yield line[:-1]
            continue
        if len(line) > most:
            while (rest := stream.readline(most)) and not rest.endswith(b"\n"):
                pass
        yield line[:most]


def batches(lines: Iterable[bytes], most_lines: int, most_bytes: int = 8 * 1024 * 1024) -> Iterator[list[bytes]]:
    """Group lines into lists of at most ``most_lines``; a list also ends once it has ``most_bytes``."""
    batch: list[bytes] = []
    held_bytes = 0
    for line in lines:
        batch.append(line)
        held_bytes += len(line)
        if len(batch) >= most_lines or held_bytes >= most_bytes:
            yield batch
            batch, held_bytes = [], 0
    if batch:
        yield batch
