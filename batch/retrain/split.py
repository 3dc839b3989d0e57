"""The newest comments apart from those a model is trained on, with nothing on both sides that would flatter it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from batch.labelled_examples import Example
from moderation.contracts import Comment
from moderation.errors import TrainingError

# Authors who write on both sides stay on one: this share of them on the newest side, by a hash of their key. The
# model loses what they wrote before, the gate what they write now; those who stay stand for those who were left out.
_NEWEST_AUTHORS = 0.3


@dataclass(frozen=True, slots=True)
class Split:
    """Examples on two sides of an instant, in order of event time.

    Attributes:
        training: before it.
        newest: from it on; no author and no text of theirs is in ``training``. Weights make up for authors left out.
        split_us: the instant.
        left_out: how many examples are on neither side, and why.
    """

    training: list[Example]
    newest: list[Example]
    split_us: int
    left_out: dict[str, int]


def split_point(examples: Sequence[Example], newest_share: float) -> int:
    """The instant from which on this share of the examples is the newest.

    Args:
        examples: in order of event time.
        newest_share: between 0 and 1.

    Raises:
        TrainingError: there is no example.
    """
    if not examples:
        raise TrainingError("examples", "the lake has no labelled comment of the window", "Name another window.")
    first = min(len(examples) - 1, round(len(examples) * (1 - newest_share)))
    return examples[first].comment.event_time_us


def split_at(examples: Sequence[Example], split_us: int) -> Split:
    """Split examples at an instant. The same examples give the same split.

    Args:
        examples: in order of event time.
        split_us: the first instant of the newest side.
    """
    before = [each for each in examples if each.comment.event_time_us < split_us]
    after = [each for each in examples if each.comment.event_time_us >= split_us]
    shared = {each.comment.author_key for each in before} & {each.comment.author_key for each in after} - {None}
    training = list(_staying(before, shared, newest=False))
    unshared = list(_staying(after, shared, newest=True))
    texts = {_text(each.comment) for each in training}
    newest = [each for each in unshared if _text(each.comment) not in texts]
    left_out = {
        "author_on_newest_side": len(before) - len(training),
        "author_on_training_side": len(after) - len(unshared),
        "text_on_training_side": len(unshared) - len(newest),
    }
    return Split(training, newest, split_us, left_out)


def _text(comment: Comment) -> str:
    return " ".join(comment.body.casefold().split())


def _staying(examples: Sequence[Example], shared: Set[str | None], *, newest: bool) -> Iterator[Example]:
    """Those of a side who stay on it; authors of both sides stand for as many as were drawn to the other one."""
    share = _NEWEST_AUTHORS if newest else 1 - _NEWEST_AUTHORS
    for example in examples:
        author = example.comment.author_key
        if author is None or author not in shared:
            yield example
        elif (_drawn(author) < _NEWEST_AUTHORS) is newest:
            yield replace(example, weight=example.weight / share)


def _drawn(author: str) -> float:
    """A number in [0, 1) that is the author's own."""
    return int.from_bytes(hashlib.sha256(author.encode()).digest()[:8], "big") / 2**64
