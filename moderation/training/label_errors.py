"""Find labels that are probably wrong, from out-of-fold probabilities.

The rule is that of confident learning (Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in
Dataset Labels, JAIR 2021): a comment is suspected if the model gives the other label a probability that is at least
the mean probability which comments with that label get for it. Comments are ranked by their self-confidence, the
probability of the given label. On real comments with flipped labels this order found more flips than orders that
compare with the mean confidence or the frequency of the label; ``tests/unit/moderation/training/test_label_errors.py``
measures it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.training.metrics import Bools, Floats
from moderation.training.seen_texts import normalised


@dataclass(frozen=True, slots=True)
class LabelSuspicions:
    """Suspected labels.

    Attributes:
        removed_confidence: mean probability of removal of the removed comments.
        kept_confidence: mean probability of keeping of the kept comments.
        is_suspected: whether the label of each comment is suspected, shape (comments,).
        order: indices of all comments, the least credible label first, shape (comments,).
    """

    removed_confidence: float
    kept_confidence: float
    is_suspected: Bools
    order: NDArray[np.int64]

    def suspected(self, most: int) -> NDArray[np.int64]:
        """Return indices of suspected comments, the least credible label first, at most ``most``."""
        return self.order[self.is_suspected[self.order]][:most]


@dataclass(frozen=True, slots=True)
class Copies:
    """How often the text of a comment occurs with each label, ignoring case and white space; itself included."""

    removed: int
    kept: int


def find_label_errors(probability: Floats, removed: Bools) -> LabelSuspicions:
    """Find suspected labels.

    Args:
        probability: calibrated out-of-fold probabilities of removal, shape (comments,). A model that has seen a label
            would confirm it.
        removed: the labels, shape (comments,); both occur.
    """
    removed_confidence = float(probability[removed].mean())
    kept_confidence = float(1 - probability[~removed].mean())
    is_like_removed, is_like_kept = probability >= removed_confidence, 1 - probability >= kept_confidence
    # Of comments that look like both, those of the more probable label.
    is_both = is_like_removed & is_like_kept
    is_like_removed &= ~is_both | (probability > 0.5)
    is_like_kept &= ~is_both | (probability <= 0.5)
    return LabelSuspicions(
        removed_confidence=removed_confidence,
        kept_confidence=kept_confidence,
        is_suspected=np.where(removed, is_like_kept, is_like_removed),
        order=np.argsort(np.where(removed, probability, 1 - probability), kind="stable"),
    )


def count_copies(texts: Sequence[str], removed: Bools, indices: NDArray[np.int64]) -> list[Copies]:
    """Count the copies of some texts by label.

    Args:
        texts: bodies of all comments.
        removed: the labels, shape (texts,).
        indices: comments whose copies are counted.
    """
    wanted = {normalised(texts[index]) for index in indices.tolist()}
    counts: Counter[tuple[str, bool]] = Counter()
    for text, is_removed in zip(texts, removed.tolist(), strict=True):
        if (key := normalised(text)) in wanted:
            counts[key, is_removed] += 1
    keys = [normalised(texts[index]) for index in indices.tolist()]
    return [Copies(counts[key, True], counts[key, False]) for key in keys]
