"""Time-based split into training and newest examples without shared authors or texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from batch.labelled_examples import Example
from moderation.errors import TrainingError
from moderation.training.seen_texts import normalised

# An author with examples on both sides is kept on one side only: this share of them on the newest side, selected by a
# hash of the author's key. Larger weights of the authors who are kept make up for those who are left out.
_NEWEST_AUTHORS = 0.3


@dataclass(frozen=True, slots=True)
class Split:
    """Examples before and after a point in time, in order of event time.

    Attributes:
        training: examples before the split.
        newest: examples from the split on; none of their authors and texts is in ``training``. Weights make up for
            authors who are left out.
        split_us: time of the split.
        left_out: number of examples on neither side, by reason.
    """

    training: list[Example]
    newest: list[Example]
    split_us: int
    left_out: dict[str, int]


def split_point(examples: Sequence[Example], newest_share: float) -> int:
    """Return the time from which on the given share of the examples is the newest.

    Args:
        examples: in order of event time.
        newest_share: between 0 and 1.

    Raises:
        TrainingError: there are no examples.
    """
    if not examples:
        raise TrainingError("examples", "the lake has no labelled comment of the interval", "Name another interval.")
    first = min(len(examples) - 1, round(len(examples) * (1 - newest_share)))
    return examples[first].comment.event_time_us


def split_at(examples: Sequence[Example], split_us: int) -> Split:
    """Split examples at a point in time. The same examples give the same split.

    Args:
        examples: in order of event time.
        split_us: first event time of the newest side.
    """
    before = [each for each in examples if each.comment.event_time_us < split_us]
    after = [each for each in examples if each.comment.event_time_us >= split_us]
    shared = {each.comment.author_key for each in before} & {each.comment.author_key for each in after} - {None}
    training = list(_staying(before, shared, newest=False))
    unshared = list(_staying(after, shared, newest=True))
    texts = {normalised(each.comment.body) for each in training}
    newest = [each for each in unshared if normalised(each.comment.body) not in texts]
    left_out = {
        "author_on_newest_side": len(before) - len(training),
        "author_on_training_side": len(after) - len(unshared),
        "text_on_training_side": len(unshared) - len(newest),
    }
    return Split(training, newest, split_us, left_out)


def _staying(examples: Sequence[Example], shared: Set[str | None], *, newest: bool) -> Iterator[Example]:
    """Yield the examples of one side that stay on it; weights of authors with examples on both sides are adjusted."""
    share = _NEWEST_AUTHORS if newest else 1 - _NEWEST_AUTHORS
    for example in examples:
        author = example.comment.author_key
        if author is None or author not in shared:
            yield example
        elif (_drawn(author) < _NEWEST_AUTHORS) is newest:
            yield replace(example, weight=example.weight / share)


def _drawn(author: str) -> float:
    """Return a number in [0, 1) that depends only on the author."""
    return int.from_bytes(hashlib.sha256(author.encode()).digest()[:8], "big") / 2**64
