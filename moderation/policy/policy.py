"""A policy: two integer thresholds, their goals, and the expected operating point."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Verdict
from moderation.errors import ModelRefused

NEVER_PPM = 1_000_001
_FIELDS = {"schema_version", "policy_version", "review_ppm", "remove_ppm", "goals", "expected"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval, in the unit of the value."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The expected effect of a policy, measured on out-of-fold scores.

    Attributes:
        precision: of comments that the policy removes, the share that moderators removed; None if it removes none.
        recall: of comments that moderators removed, the share that the policy removes or reviews.
        remove_share, review_share: shares of all comments.
        reviews_per_day: None if the volume is unknown.
        comments: number of comments in the measurement.
    """

    precision: Estimate | None
    recall: Estimate
    remove_share: Estimate
    review_share: Estimate
    reviews_per_day: Estimate | None
    comments: int


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds in parts per million: score ≥ remove_ppm removes, else score ≥ review_ppm reviews, else allows.

    0 < review_ppm ≤ remove_ppm ≤ 1,000,001, so a score of 0 is always allowed; 1,000,001 means never.
    """

    review_ppm: int
    remove_ppm: int
    goals: tuple[str, ...]
    expected: OperatingPoint | None = None

    def __post_init__(self) -> None:
        if not 0 < self.review_ppm <= self.remove_ppm <= NEVER_PPM:
            raise ModelRefused(
                "policy",
                f"thresholds {self.review_ppm}/{self.remove_ppm} are not 0 < review <= remove <= {NEVER_PPM}",
                "Resolve the policy again from its goals.",
            )

    @property
    def policy_version(self) -> str:
        """12 hexadecimal digits of the SHA-256 over thresholds and goals: stored with every decision."""
        text = json.dumps([self.review_ppm, self.remove_ppm, list(self.goals)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def verdict(self, score_ppm: int) -> Verdict:
        """The verdict on one score."""
        if score_ppm >= self.remove_ppm:
            return Verdict.REMOVE
        return Verdict.REVIEW if score_ppm >= self.review_ppm else Verdict.ALLOW

    def verdicts(self, scores_ppm: NDArray[np.int64]) -> list[Verdict]:
        """The verdicts on many scores, in order."""
        return [self.verdict(score) for score in scores_ppm.tolist()]

    def to_json(self) -> str:
        """The text of ``policy.json``."""
        fields = {"schema_version": 1, "policy_version": self.policy_version, **asdict(self)}
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Policy:
        """Read ``policy.json``.

        Raises:
            ModelRefused: the text is not a policy, or its version does not match its thresholds.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields.keys() != _FIELDS or fields["schema_version"] != 1:
                raise ValueError("unknown or missing fields")
            expected = fields["expected"]
            policy = cls(
                review_ppm=_integer(fields["review_ppm"]),
                remove_ppm=_integer(fields["remove_ppm"]),
                goals=tuple(str(goal) for goal in fields["goals"]),
                expected=None if expected is None else _operating_point(expected),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelRefused("policy.json", f"not a policy ({error})", "Train the model again.") from error
        if fields["policy_version"] != policy.policy_version:
            raise ModelRefused(
                "policy.json",
                f"policy_version {fields['policy_version']} does not belong to its thresholds",
                "It was edited by hand: resolve the policy again from its goals.",
            )
        return policy


def _integer(value: object) -> int:
    if type(value) is not int:
        raise TypeError("thresholds must be integers")
    return value


def _operating_point(fields: dict[str, Any]) -> OperatingPoint:
    estimates = {
        name: None if value is None else Estimate(**value) for name, value in fields.items() if name != "comments"
    }
    return OperatingPoint(comments=fields["comments"], **estimates)  # type: ignore[arg-type]
