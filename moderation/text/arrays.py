"""Growing numpy arrays, and index arithmetic on ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class GrowingArray:
    """An append-only numpy array with amortised constant cost.

    Args:
        dtype: element type.
        row_shape: shape of one row; ``()`` for a one-dimensional array.
    """

    def __init__(self, dtype: DTypeLike, row_shape: tuple[int, ...] = ()) -> None:
        self._rows: NDArray[Any] = np.empty((1024, *row_shape), dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def extend(self, rows: NDArray[Any]) -> None:
        """Append rows of the same row shape."""
        needed = self._length + len(rows)
        if needed > len(self._rows):
            grown = np.empty((max(needed, 2 * len(self._rows)), *self._rows.shape[1:]), self._rows.dtype)
            grown[: self._length] = self.view
            self._rows = grown
        self._rows[self._length : needed] = rows
        self._length = needed

    @property
    def view(self) -> NDArray[Any]:
        """The rows so far, without a copy; valid until the next ``extend``."""
        return self._rows[: self._length]


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Concatenate integer ranges: each begins at its start and has its length.

    Args:
        starts: shape (ranges,).
        lengths: shape (ranges,); may be 0.
    """
    before = np.cumsum(lengths) - lengths
    numbers: NDArray[np.int64] = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return numbers
