"""The record ids of a partition's open panes, in 20 bytes each however many they are.

An id is kept as the first 16 bytes of its SHA-256, with the number of its pane. New ids are in a dictionary; from
65,536 on they become a sorted array. Arrays are merged up to 4 million ids, so there are few of them and no merge takes
long. Ids of closed panes are removed when ids are added, not at once: a copy of such a record is late, and
late is decided before duplicate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16
BYTES_PER_ID = DIGEST_BYTES + 4
"""In a sorted array: the digest and the pane's number."""
_NEWEST = 65_536
_LARGEST = 4_194_304
_DIGEST = f"S{DIGEST_BYTES}"


class _Run(NamedTuple):
    """Digests in order, shape (n,), and the numbers of their panes, shape (n,)."""

    digests: NDArray[np.bytes_]
    panes: NDArray[np.int32]

    def open_from(self, pane: int) -> _Run:
        """Those of a pane or later ones."""
        is_open = self.panes >= pane
        return self if is_open.all() else _Run(self.digests[is_open], self.panes[is_open])


class RecordIds:
    """A set of record ids that forgets those of closed panes. Not safe for threads."""

    def __init__(self) -> None:
        self._newest: dict[bytes, int] = {}
        self._runs: list[_Run] = []
        self._open_from = -(2**31)

    def __len__(self) -> int:
        """How many ids are kept; some may be of panes that closed a moment ago."""
        return len(self._newest) + sum(len(run.panes) for run in self._runs)

    @property
    def array_bytes(self) -> int:
        """Size of the sorted arrays in bytes."""
        return sum(run.digests.nbytes + run.panes.nbytes for run in self._runs)

    def add(self, record_id: bytes, pane: int) -> None:
        """Add an id.

        Args:
            record_id: at least 16 bytes, of which the first 16 count.
            pane: number of its pane, in order of time.
        """
        self._newest[record_id[:DIGEST_BYTES]] = pane
        if len(self._newest) >= _NEWEST:
            self._sort_newest()

    def among(self, record_ids: Sequence[bytes]) -> set[bytes]:
        """Those of some ids that were added."""
        newest = self._newest
        found = {record_id for record_id in record_ids if record_id[:DIGEST_BYTES] in newest}
        if self._runs and record_ids:
            asked = np.array([record_id[:DIGEST_BYTES] for record_id in record_ids], _DIGEST)
            for run in self._runs:
                places = np.minimum(np.searchsorted(run.digests, asked), len(run.digests) - 1)
                found.update(record_ids[index] for index in np.flatnonzero(run.digests[places] == asked).tolist())
        return found

    def close_before(self, pane: int) -> None:
        """Forget the ids of panes before this one, at once or when the next array is made."""
        if pane <= self._open_from:
            return
        self._open_from = pane
        self._newest = {digest: own for digest, own in self._newest.items() if own >= pane}
        self._runs = [run for run in self._runs if run.panes.max() >= pane]

    def _sort_newest(self) -> None:
        digests = np.array(list(self._newest), _DIGEST)
        panes = np.fromiter(self._newest.values(), np.int32, len(self._newest))
        self._newest = {}
        order = np.argsort(digests)
        runs = [run.open_from(self._open_from) for run in self._runs]
        runs = [run for run in runs if len(run.panes)] + [_Run(digests[order], panes[order])]
        while len(runs) > 1 and len(runs[-2].panes) <= 2 * len(runs[-1].panes):
            if len(runs[-2].panes) + len(runs[-1].panes) > _LARGEST:
                break
            last, before = runs.pop(), runs.pop()
            digests = np.concatenate([before.digests, last.digests])
            order = np.argsort(digests, kind="stable")  # merges what is in order already
            runs.append(_Run(digests[order], np.concatenate([before.panes, last.panes])[order]))
        self._runs = runs
