"""A set of the record ids of open panes, in bounded memory.

An id is stored as the first 16 bytes of its SHA-256, with the number of its pane. New ids go into a dictionary; 65,536
of them become a sorted array. Arrays are merged up to a million ids, so there are few arrays and each merge is short.
An array of more than half a million ids is stored in an unlinked temporary file (20 bytes for each id) that is mapped
into memory: the operating system reads the pages that are searched, and frees them when it needs memory.

Ids of closed panes are removed when the next array is built. Until then they do no harm: a copy of such a record is
late, and late is decided before duplicate.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16
BYTES_PER_ID = DIGEST_BYTES + 4
"""Bytes of a digest and a pane number in a sorted array."""
_NEWEST = 65_536
_LARGEST = 1_048_576
_DIGEST = f"S{DIGEST_BYTES}"
_Array = TypeVar("_Array", NDArray[np.bytes_], NDArray[np.int32])


class _Run(NamedTuple):
    """Sorted digests, shape (n,), and the numbers of their panes, shape (n,)."""

    digests: NDArray[np.bytes_]
    panes: NDArray[np.int32]
    last_pane: int

    @classmethod
    def of(cls, digests: NDArray[np.bytes_], panes: NDArray[np.int32]) -> Self:
        """Create a run of arrays in memory, or of copies in files if they are large.

        Raises:
            OSError: the file cannot be written.
        """
        last_pane = int(panes.max())
        if 2 * len(panes) <= _LARGEST:
            return cls(digests, panes, last_pane)
        return cls(_in_file(digests), _in_file(panes), last_pane)

    @property
    def is_in_file(self) -> bool:
        """Whether the arrays are mapped from a file."""
        return isinstance(self.panes, np.memmap)

    def open_from(self, pane: int) -> _Run | None:
        """The ids of a pane and later panes; None if there are none."""
        if self.last_pane < pane:
            return None
        is_open = self.panes >= pane
        if is_open.all():
            return self
        digests, panes = self.digests[is_open], self.panes[is_open]
        if self.is_in_file:
            digests, panes = _in_file(digests), _in_file(panes)
        return _Run(digests, panes, self.last_pane)


class RecordIds:
    """A set of record ids without those of closed panes. Not thread-safe."""

    def __init__(self) -> None:
        self._newest: dict[bytes, int] = {}
        self._runs: list[_Run] = []
        self._open_from = -(2**31)

    def __len__(self) -> int:
        """Number of ids; some may be of panes that closed recently."""
        return len(self._newest) + sum(len(run.panes) for run in self._runs)

    @property
    def file_bytes(self) -> int:
        """Size of the sorted arrays that are in files, in bytes."""
        return sum(run.digests.nbytes + run.panes.nbytes for run in self._runs if run.is_in_file)

    def add(self, record_id: bytes, pane: int) -> None:
        """Add an id.

        Args:
            record_id: at least 16 bytes; the first 16 are used.
            pane: number of its pane; numbers ascend with time.

        Raises:
            OSError: a temporary file cannot be written.
        """
        self._newest[record_id[:DIGEST_BYTES]] = pane
        if len(self._newest) >= _NEWEST:
            self._sort_newest()

    def among(self, record_ids: Sequence[bytes]) -> set[bytes]:
        """Return the given ids that are in the set."""
        newest = self._newest
        members = {record_id for record_id in record_ids if record_id[:DIGEST_BYTES] in newest}
        if self._runs and record_ids:
            digests = np.array([record_id[:DIGEST_BYTES] for record_id in record_ids], _DIGEST)
            for run in self._runs:
                indices = np.minimum(np.searchsorted(run.digests, digests), len(run.digests) - 1)
                members.update(record_ids[index] for index in np.flatnonzero(run.digests[indices] == digests).tolist())
        return members

    def close_before(self, pane: int) -> None:
        """Remove the ids of panes before this one, now or when the next array is built."""
        if pane <= self._open_from:
            return
        self._open_from = pane
        self._newest = {digest: number for digest, number in self._newest.items() if number >= pane}
        self._runs = [run for run in self._runs if run.last_pane >= pane]

    def _sort_newest(self) -> None:
        digests = np.array(list(self._newest), _DIGEST)
        panes = np.fromiter(self._newest.values(), np.int32, len(self._newest))
        order = np.argsort(digests)
        kept = [run.open_from(self._open_from) for run in self._runs]
        runs = [run for run in kept if run is not None]
        runs.append(_Run.of(digests[order], panes[order]))
        while len(runs) > 1 and len(runs[-2].panes) <= 2 * len(runs[-1].panes):
            if len(runs[-2].panes) + len(runs[-1].panes) > _LARGEST:
                break
            last, before = runs.pop(), runs.pop()
            digests = np.concatenate([before.digests, last.digests])
            order = np.argsort(digests, kind="stable")  # merges two sorted halves
            runs.append(_Run.of(digests[order], np.concatenate([before.panes, last.panes])[order]))
        self._newest, self._runs = {}, runs


def _in_file(array: _Array) -> _Array:
    """Copy an array to an unlinked file; the file disappears with the array."""
    with tempfile.TemporaryFile(prefix="record-ids-") as file:
        array.tofile(file)
        file.flush()
        return np.memmap(file, array.dtype, mode="r", shape=array.shape)
