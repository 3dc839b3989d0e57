"""Sorting arrivals by time when there may be more of them than memory holds."""

from __future__ import annotations

import heapq
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO

from moderation.sources.generator import Arrival

MOST_IN_MEMORY = 50_000
_HEAD = struct.Struct("<q?II")
_MOST_RUNS = 200


def by_arrival(arrivals: Iterable[Arrival], most_in_memory: int = MOST_IN_MEMORY) -> Iterator[Arrival]:
    """Sort by ``arrival_us``; what arrives at one instant keeps its order.

    Up to ``most_in_memory`` arrivals are sorted in memory. More are sorted in runs of that size, kept in temporary
    files and merged with a heap that holds one arrival per run; label and injection are not kept then. Nothing is
    yielded before all of ``arrivals`` is read.

    Args:
        arrivals: in any order.
        most_in_memory: arrivals of one run, at least 1; memory needed is about their values' size.
    """
    source = iter(arrivals)
    with ExitStack() as files:
        runs: list[Iterator[Arrival]] = []
        size = most_in_memory
        while run := list(islice(source, size)):
            run.sort(key=_time)
            if not runs and len(run) < size:
                yield from run
                return
            runs.append(_spilled(run, files.enter_context(tempfile.TemporaryFile())))
            if len(runs) % _MOST_RUNS == 0:
                size *= 2  # open files are bounded too
        yield from heapq.merge(*runs, key=_time)


def _time(arrival: Arrival) -> int:
    return arrival.arrival_us


def _spilled(run: list[Arrival], file: IO[bytes]) -> Iterator[Arrival]:
    for arrival in run:
        key = arrival.key.encode()
        head = _HEAD.pack(arrival.arrival_us, arrival.topic == "actions", len(key), len(arrival.value))
        file.write(head + key + arrival.value)
    file.seek(0)
    return _read(file)


def _read(file: IO[bytes]) -> Iterator[Arrival]:
    while head := file.read(_HEAD.size):
        arrival_us, is_action, key_bytes, value_bytes = _HEAD.unpack(head)
        key = file.read(key_bytes).decode()
        topic = "actions" if is_action else "comments"
        yield Arrival(arrival_us, topic, key, file.read(value_bytes), None, None)  # type: ignore[arg-type]
