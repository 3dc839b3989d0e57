"""Training examples, with a digest that identifies the data."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Comment
from moderation.errors import TrainingError
from moderation.timestamps import DAY_US

LEAST_OF_A_CLASS = 20


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled texts in the given order.

    Attributes:
        texts: bodies of the comments.
        communities: community of each comment.
        removed: True if a moderator removed the comment, shape (texts,).
        weight: number of comments that each one represents, shape (texts,); None if 1 each.
        data_digest: SHA-256, hexadecimal, over record ids, labels and weights in order.
        days: time from the first to the last comment, in days.
        newest_us: event time of the last comment.
    """

    texts: list[str]
    communities: list[str]
    removed: NDArray[np.bool_]
    weight: NDArray[np.float64] | None
    data_digest: str
    days: float
    newest_us: int


def collect_examples(labelled: Iterable[tuple[Comment, bool]], weights: Sequence[float] | None = None) -> Examples:
    """Collect examples.

    Args:
        labelled: comments, and whether a moderator removed them.
        weights: number of comments that each one represents, in the same order; 1 each if None.

    Raises:
        TrainingError: fewer than 20 distinct texts of either class.
    """
    digest = hashlib.sha256()
    texts: list[str] = []
    communities: list[str] = []
    labels: list[bool] = []
    first = last = None
    for comment, removed in labelled:
        digest.update(comment.record_id() + (b"\1" if removed else b"\0"))
        texts.append(comment.body)
        communities.append(comment.community)
        labels.append(removed)
        time_us = comment.event_time_us
        first = time_us if first is None else min(first, time_us)
        last = time_us if last is None else max(last, time_us)
    for name, wanted in (("removed", True), ("kept", False)):
        distinct = len({text for text, label in zip(texts, labels, strict=True) if label is wanted})
        if distinct < LEAST_OF_A_CLASS:
            raise TrainingError(
                "examples",
                f"{distinct} distinct {name} comments; at least {LEAST_OF_A_CLASS} are needed",
                "Give more labelled comments, of both kinds.",
            )
    weight = None if weights is None or all(each == 1 for each in weights) else np.array(weights, np.float64)
    if weight is not None:
        digest.update(struct.pack(f"<{len(weight)}d", *weight))
    days = ((last or 0) - (first or 0)) / DAY_US
    return Examples(texts, communities, np.array(labels, bool), weight, digest.hexdigest(), days, last or 0)
