"""The training reference: distributions of the training comments, stored with the model for drift checks.

Scores, unseen shares and verdicts are out of fold, because later comments are new to the model too. Weighted comments
count by weight, so that the reference describes all comments and not only reviewed ones; see ``training.drift``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from moderation.contracts import Verdict
from moderation.errors import ModelRefused
from moderation.policy import Policy
from moderation.training.drift import Reference, effective, reference_of
from moderation.training.examples import Examples
from moderation.training.metrics import Bools, Floats

SCORE, LENGTH, UNSEEN = "score", "length", "unseen"
COMMUNITIES, LABELS, AGREEMENT = "communities", "labels", "agreement"
_NUMBERS, _NAMES = (SCORE, LENGTH, UNSEEN), (COMMUNITIES, LABELS, AGREEMENT)
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class TrainingReference:
    """Distributions of the training comments.

    Attributes:
        comments: number of texts the model was fitted on.
        score: calibrated out-of-fold probability of removal.
        length: characters of the body.
        unseen: share of distinct words and word pairs of a comment that the other folds lack.
        communities: comments by community.
        labels: comments ``kept`` and ``removed`` by moderators.
        agreement: comments on which policy and moderators ``agreed`` or ``disagreed``: allow agrees with kept, review
            and remove agree with removed.
    """

    comments: int
    score: Reference
    length: Reference
    unseen: Reference
    communities: Mapping[str, float]
    labels: Mapping[str, float]
    agreement: Mapping[str, float]

    def numbers(self) -> dict[str, Reference]:
        """The measures that are numbers, by name."""
        return {SCORE: self.score, LENGTH: self.length, UNSEEN: self.unseen}

    def names(self) -> dict[str, Mapping[str, float]]:
        """The measures that are counts by name, by name."""
        return {COMMUNITIES: self.communities, LABELS: self.labels, AGREEMENT: self.agreement}

    def to_json(self) -> str:
        """The text of ``reference.json``."""
        return json.dumps({"schema_version": 1, **asdict(self)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> TrainingReference:
        """Read ``reference.json``.

        Raises:
            ModelRefused: the text is not a reference.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields.keys() != {"schema_version", "comments", *_NUMBERS, *_NAMES} or fields["schema_version"] != 1:
                raise ValueError("unknown or missing fields")
            numbers = {name: _distribution(fields[name]) for name in _NUMBERS}
            names = {name: {str(key): _count(value) for key, value in fields[name].items()} for name in _NAMES}
            return cls(comments=int(fields["comments"]), **numbers, **names)  # type: ignore[arg-type]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ModelRefused("reference.json", f"not a training reference ({error})", "Train it again.") from error


def training_reference(examples: Examples, probability: Floats, unseen: Floats, policy: Policy) -> TrainingReference:
    """Create the reference of a training run.

    Args:
        examples: training examples.
        probability: out-of-fold probabilities of removal, calibrated, shape (comments,).
        unseen: out-of-fold shares of unseen word features, shape (comments,).
        policy: its verdicts are compared with the labels.
    """
    weight = examples.weight
    return TrainingReference(
        comments=len(examples.texts),
        score=reference_of(probability, weight),
        length=reference_of(lengths_of(examples.texts), weight),
        unseen=reference_of(unseen, weight),
        communities=counts_by_name(examples.communities, weight),
        labels=labels_of(examples.removed, weight),
        agreement=agreement_of(policy, probability, examples.removed, weight),
    )


def lengths_of(texts: Sequence[str]) -> Floats:
    """Characters of every text."""
    return np.array([len(text) for text in texts], np.float64)


def labels_of(removed: Bools, weight: Floats | None = None) -> dict[str, float]:
    """Comments ``kept`` and ``removed``."""
    return _of_two(removed, "removed", "kept", weight)


def agreement_of(policy: Policy, probability: Floats, removed: Bools, weight: Floats | None = None) -> dict[str, float]:
    """Comments on which policy and moderators ``agreed`` or ``disagreed``; see :class:`TrainingReference`."""
    verdicts = policy.verdicts(np.rint(1_000_000 * probability).astype(np.int64))
    is_flagged = np.array([verdict is not Verdict.ALLOW for verdict in verdicts], bool)
    return _of_two(is_flagged == removed, "agreed", "disagreed", weight)


def counts_by_name(names: Sequence[str], weight: Floats | None = None) -> dict[str, float]:
    """Count comments by name, with the effective sample size of weighted ones."""
    distinct, index = np.unique(np.array(names, dtype=object), return_inverse=True)
    counts = effective(np.bincount(index, weight, len(distinct)).astype(np.float64), weight)
    return dict(zip(distinct.tolist(), np.round(counts, _DIGITS).tolist(), strict=True))


def _of_two(is_first: Bools, first: str, second: str, weight: Floats | None) -> dict[str, float]:
    counts = np.bincount(is_first.astype(np.int64), weight, 2).astype(np.float64)
    second_count, first_count = np.round(effective(counts, weight), _DIGITS).tolist()
    return {first: first_count, second: second_count}


def _distribution(fields: Mapping[str, Any]) -> Reference:
    edges = tuple(float(edge) for edge in fields["edges"])
    counts = tuple(_count(count) for count in fields["counts"])
    if len(counts) != len(edges) + 1 or list(edges) != sorted(set(edges)) or not all(map(math.isfinite, edges)):
        raise ValueError("bins do not fit their borders")
    return Reference(edges, counts)


def _count(value: Any) -> float:
    count = float(value)
    if not 0 <= count < math.inf:
        raise ValueError(f"{value} is not a count")
    return count
