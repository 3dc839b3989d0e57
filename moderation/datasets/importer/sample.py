"""Draw a sample of labelled comments: random by seed, with the same share of removed ones as all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moderation.datasets.history import LabelledComment


@dataclass(frozen=True, slots=True)
class Sample:
    """Which comments of a data set are read. Memory: one byte a comment of the data set.

    The comments of either label are drawn without replacement, each with the same probability, so that shares and
    calibrated probabilities of the sample are those of all comments.

    Attributes:
        comments: comments of the sample.
        of: comments of the data set.
        seed: of the draw.
        drawn: by label, whether the comment at each position among those of this label is in the sample.
    """

    comments: int
    of: int
    seed: int
    drawn: dict[bool, bytes]

    def select(self, rows: Iterable[LabelledComment]) -> Iterator[LabelledComment]:
        """Yield the comments of the sample, in the order of the data set.

        Args:
            rows: all comments of the data set, always in the same order.
        """
        positions = {True: 0, False: 0}
        for row in rows:
            removed = row.removed
            position = positions[removed]
            positions[removed] = position + 1
            drawn = self.drawn[removed]
            if position < len(drawn) and drawn[position]:
                yield row

    def fields(self) -> dict[str, Any]:
        """Return the sample as JSON fields, for the lineage of a model."""
        return {"comments": self.comments, "of": self.of, "seed": self.seed}

    def text(self) -> str:
        """Return one line that states the sample."""
        return (
            f"{self.comments:,} of {self.of:,} comments are used: a random sample with the same share of removed ones, "
            f"seed {self.seed}; --sample 0 uses all"
        )


def draw_sample(most: int, kept: int, removed: int, seed: int) -> Sample | None:
    """Draw a sample. The same numbers and the same seed give the same sample.

    Args:
        most: comments of the sample, at least 2.
        kept: comments of the data set that were kept.
        removed: comments of the data set that were removed.
        seed: any integer from 0.

    Returns:
        The sample; None if the data set has at most ``most`` comments.
    """
    total = kept + removed
    if total <= most:
        return None
    of_removed = min(max(round(most * removed / total), min(removed, 1)), removed)
    of_kept = min(most - of_removed, kept)
    drawn = {
        is_removed: _drawn(count, taken, seed, stream)
        for stream, (is_removed, count, taken) in enumerate(((False, kept, of_kept), (True, removed, of_removed)))
    }
    return Sample(of_kept + of_removed, total, seed, drawn)


def _drawn(count: int, taken: int, seed: int, stream: int) -> bytes:
    """Return ``count`` bytes of which ``taken`` are 1."""
    # The raw output of PCG64 is the same in every version of NumPy, which the methods of Generator do not promise.
    keys: NDArray[np.uint64] = np.random.PCG64(np.random.SeedSequence((seed, stream))).random_raw(count)
    drawn = np.zeros(count, np.uint8)
    drawn[np.argsort(keys, kind="stable")[:taken]] = 1
    return drawn.tobytes()
