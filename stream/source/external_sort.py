"""Sort arrivals by time in bounded memory."""

from __future__ import annotations

import heapq
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO

from moderation.datasets.synthetic import Arrival

MOST_IN_MEMORY = 50_000
_HEAD = struct.Struct("<q?II")
_MOST_RUNS = 100


def by_arrival(arrivals: Iterable[Arrival], most_in_memory: int = MOST_IN_MEMORY) -> Iterator[Arrival]:
    """Sort by ``arrival_us``; arrivals at the same instant keep their order.

    Up to ``most_in_memory`` arrivals are sorted in memory. More arrivals are sorted in runs of that size in temporary
    files, which are merged with a heap of one arrival per run; label and injection are lost then. The first arrival is
    yielded after all of ``arrivals`` is read.

    Args:
        arrivals: in any order.
        most_in_memory: arrivals of one run, at least 1; they need about as much memory as their values.
    """
    remaining = iter(arrivals)
    files = ExitStack()
    runs: list[Iterator[Arrival]] = []
    try:
        while run := list(islice(remaining, most_in_memory)):
            run.sort(key=_time)
            if not runs and len(run) < most_in_memory:
                yield from run
                return
            runs.append(_spilled(run, files.enter_context(_scratch())))
            run.clear()  # before the next one is read
            if len(runs) == _MOST_RUNS:
                merged = _scratch()
                # It is the first in the list, so that it precedes later runs at the same instant.
                runs = [_spilled(heapq.merge(*runs, key=_time), merged)]
                files.close()
                files.enter_context(merged)
        yield from heapq.merge(*runs, key=_time)
    finally:
        files.close()


def _time(arrival: Arrival) -> int:
    return arrival.arrival_us


def _scratch() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _spilled(run: Iterable[Arrival], file: IO[bytes]) -> Iterator[Arrival]:
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
