"""Find rows that occur more than once, in memory that hardly depends on the number of rows.

Every row is represented by eight bytes of a digest. The digests of up to 262,144 rows are in memory. More are written
to temporary files, divided by their first bits, so that equal digests are in one file and each file is searched alone.
The result is one byte a row.
"""

from __future__ import annotations

import tempfile
from array import array
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moderation.errors import DatasetError

ROWS_IN_MEMORY = 262_144
_PARTS = 64
_PART_SHIFT = np.uint64(58)  # 64 - log2(_PARTS)
_STORED = np.dtype([("digest", "<u8"), ("row", "<u8"), ("label", "i1")])
_LABEL_CODES: dict[bool | None, int] = {None: 0, False: 1, True: 2}
_BITS_64 = 2**64 - 1


def row_check(row: int, digest: int, label: bool | None) -> int:
    """Return the 64 bits that a row adds to :attr:`Repeats.checksum`; they depend on its number, from 0."""
    return (digest + _LABEL_CODES[label]) * (2 * row + 1) & _BITS_64


class Use(IntEnum):
    """Whether a row is used; the value is its byte in :class:`Repeats`."""

    USED = 0
    REPEATED = 1
    BOTH_LABELS = 2


@dataclass(frozen=True, slots=True)
class Repeats:
    """Which of the readable rows are used.

    Attributes:
        uses: one byte a row, in the order of the rows, see :class:`Use`.
        checksum: over digests and labels of all rows in their order: the exclusive or of :func:`row_check`.
        repeated: rows that repeat the one that is used: the first with a label, or the first if none has one.
        both_labels: rows that occur as removed and as kept.
        used: rows that are used.
        removed: used rows whose label is removed.
        unlabelled: used rows without a label.
    """

    uses: bytes
    checksum: int
    repeated: int = 0
    both_labels: int = 0
    used: int = 0
    removed: int = 0
    unlabelled: int = 0


class RepeatSearch:
    """Collects the digests of rows; use it in a ``with`` statement, which deletes its temporary files.

    Args:
        rows_in_memory: rows whose digests are in memory at a time, at least 1; ``ROWS_IN_MEMORY`` if None.
    """

    def __init__(self, rows_in_memory: int | None = None) -> None:
        self._rows_in_memory = ROWS_IN_MEMORY if rows_in_memory is None else rows_in_memory
        self._digests, self._labels = array("Q"), array("b")
        self._stored_rows = 0
        self._checksum = np.uint64(0)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> RepeatSearch:
        return self

    def __exit__(self, *error: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, digest: int, label: bool | None) -> None:
        """Add the next row.

        Args:
            digest: 64 bits over what makes it the same row.
            label: whether it was removed; None if unknown.

        Raises:
            DatasetError: the temporary files cannot be written.
        """
        self._digests.append(digest)
        self._labels.append(_LABEL_CODES[label])
        if len(self._digests) == self._rows_in_memory:
            self._store()

    def finish(self) -> Repeats:
        """Search all rows.

        Raises:
            DatasetError: the temporary files cannot be written.
        """
        uses = np.zeros(self._stored_rows + len(self._digests), np.uint8)
        counts = np.zeros(5, np.int64)
        if self._folder is None:
            counts += _search(self._taken(), uses)
        else:
            self._store()
            for part in range(_PARTS):
                path = Path(self._folder.name) / str(part)
                if path.exists():
                    counts += _search(np.fromfile(path, _STORED), uses)
                    path.unlink()
        return Repeats(uses.tobytes(), int(self._checksum), *counts.tolist())

    def _taken(self) -> NDArray[np.void]:
        """Return the rows in memory, and forget them."""
        rows = np.empty(len(self._digests), _STORED)
        rows["digest"], rows["label"] = self._digests, self._labels
        rows["row"] = np.arange(self._stored_rows, self._stored_rows + len(rows))
        checks = (rows["digest"] + rows["label"].astype(np.uint64)) * (2 * rows["row"] + 1)  # modulo 2^64
        self._checksum ^= np.bitwise_xor.reduce(checks)
        self._stored_rows += len(rows)
        del self._digests[:], self._labels[:]
        return rows

    def _store(self) -> None:
        rows = self._taken()
        part = (rows["digest"] >> _PART_SHIFT).astype(np.int64)
        rows = rows[np.argsort(part, kind="stable")]
        ends = np.cumsum(np.bincount(part, minlength=_PARTS)).tolist()
        try:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="moderation-import-")
            for number, (first, end) in enumerate(zip([0, *ends], ends, strict=False)):
                if first < end:
                    with (Path(self._folder.name) / str(number)).open("ab") as file:
                        file.write(rows[first:end].tobytes())
        except OSError as error:
            raise DatasetError(
                "repeated rows",
                f"their digests cannot be written to {tempfile.gettempdir()} ({error.strerror})",
                "Free space there, 17 bytes a row, or name another folder in TMPDIR.",
            ) from error


def _search(rows: NDArray[np.void], uses: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Fill in the uses of rows among which all rows with one digest are.

    Returns:
        Numbers of repeated rows, rows with both labels, used rows, removed and unlabelled ones among these.
    """
    if not len(rows):
        return np.zeros(5, np.int64)
    rows = rows[np.lexsort((rows["label"] == 0, rows["digest"]))]  # stable; of the same rows, labelled ones come first
    is_first = np.ones(len(rows), bool)
    is_first[1:] = rows["digest"][1:] != rows["digest"][:-1]
    starts = np.flatnonzero(is_first)
    is_both = np.logical_or.reduceat(rows["label"] == 1, starts) & np.logical_or.reduceat(rows["label"] == 2, starts)
    use = np.where(is_first, np.uint8(Use.USED), np.uint8(Use.REPEATED))
    use[np.repeat(is_both, np.diff(np.append(starts, len(rows))))] = Use.BOTH_LABELS
    uses[rows["row"]] = use
    labels = rows["label"][use == Use.USED]
    counted = ((use == Use.REPEATED), (use == Use.BOTH_LABELS), (use == Use.USED), labels == 2, labels == 0)
    return np.array([int(each.sum()) for each in counted], np.int64)
