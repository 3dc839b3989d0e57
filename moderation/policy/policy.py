"""A policy: two integer thresholds, their goals, the expected operating point, and a part that explores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Repair, Verdict, at_least_review
from moderation.errors import ModelRefused
from moderation.policy.exploration import ALL_PPM, Exploration, Ruling, is_drawn, missing_key

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

    0 < review_ppm ≤ remove_ppm ≤ 1,000,001, so a score of 0 is always allowed; 1,000,001 means never. With an
    exploration, :meth:`decide` replaces a share of the verdicts ``remove`` and ``allow`` by ``review``.
    """

    review_ppm: int
    remove_ppm: int
    goals: tuple[str, ...]
    expected: OperatingPoint | None = None
    exploration: Exploration | None = None

    def __post_init__(self) -> None:
        if not 0 < self.review_ppm <= self.remove_ppm <= NEVER_PPM:
            raise ModelRefused(
                "policy",
                f"thresholds {self.review_ppm}/{self.remove_ppm} are not 0 < review <= remove <= {NEVER_PPM}",
                "Resolve the policy again from its goals.",
            )

    @property
    def policy_version(self) -> str:
        """12 hexadecimal digits of the SHA-256 over thresholds, goals and exploration: stored with every decision."""
        parts: list[Any] = [self.review_ppm, self.remove_ppm, list(self.goals)]
        if (part := self.exploration) is not None:
            parts.append([part.key_id, part.removals_ppm, part.allowed_ppm])
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    def decide(
        self,
        scores_ppm: NDArray[np.int64],
        record_ids: Sequence[bytes],
        repairs: Sequence[Sequence[Repair]],
        key: bytes | None,
    ) -> list[Ruling]:
        """The decisions on many comment records, in order: thresholds, then exploration, then repairs.

        Args:
            scores_ppm: shape (records,).
            record_ids: of the same records.
            repairs: of the same records; those of the text require a review at least.
            key: the key that the exploration names; None without an exploration.

        Raises:
            ModelRefused: the policy explores and there is no key.
        """
        verdicts = self.verdicts(scores_ppm)
        if self.exploration is None:
            return [
                Ruling(at_least_review(verdict, some) if some else verdict)
                for verdict, some in zip(verdicts, repairs, strict=True)
            ]
        if key is None:
            raise missing_key(self.exploration, f"policy {self.policy_version}")
        is_removal = scores_ppm >= self.remove_ppm
        is_review = (scores_ppm >= self.review_ppm) & ~is_removal
        shares = self.exploration.shares_ppm(is_removal, is_review)
        # Only these are drawn: most comments are allowed, and a policy may explore none of them.
        candidates = np.flatnonzero(~is_review & (shares > 0))
        drawn = np.zeros(len(verdicts), bool)
        drawn[candidates] = is_drawn(key, [record_ids[at] for at in candidates.tolist()], shares[candidates])
        rulings = [
            Ruling(Verdict.REVIEW, share, verdict) if was_drawn else Ruling(verdict, share)
            for verdict, share, was_drawn in zip(verdicts, shares.tolist(), drawn.tolist(), strict=True)
        ]
        for at, some in enumerate(repairs):
            if some and at_least_review(verdicts[at], some) is not verdicts[at]:  # reviewed whether drawn or not
                rulings[at] = Ruling(at_least_review(verdicts[at], some), ALL_PPM)
        return rulings

    def verdict(self, score_ppm: int) -> Verdict:
        """The verdict of the thresholds on one score, without a record and therefore without exploration."""
        if score_ppm >= self.remove_ppm:
            return Verdict.REMOVE
        return Verdict.REVIEW if score_ppm >= self.review_ppm else Verdict.ALLOW

    def verdicts(self, scores_ppm: NDArray[np.int64]) -> list[Verdict]:
        """The verdicts of the thresholds on many scores, in order; see :meth:`verdict`."""
        return [self.verdict(score) for score in scores_ppm.tolist()]

    def to_json(self) -> str:
        """The text of ``policy.json``."""
        fields = {"schema_version": 2, "policy_version": self.policy_version, **asdict(self)}
        if self.exploration is None:  # the text of a policy from before explorations existed
            del fields["exploration"]
            fields["schema_version"] = 1
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Policy:
        """Read ``policy.json``.

        Raises:
            ModelRefused: the text is not a policy, or its version does not match its thresholds.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            known = {1: _FIELDS, 2: _FIELDS | {"exploration"}}
            if fields.keys() != known.get(fields["schema_version"]):
                raise ValueError("unknown or missing fields")
            expected = fields["expected"]
            policy = cls(
                review_ppm=_integer(fields["review_ppm"]),
                remove_ppm=_integer(fields["remove_ppm"]),
                goals=tuple(str(goal) for goal in fields["goals"]),
                expected=None if expected is None else _operating_point(expected),
                exploration=Exploration.from_fields(fields["exploration"]) if "exploration" in fields else None,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelRefused("policy.json", f"not a policy ({error})", "Train the model again.") from error
        if fields["policy_version"] != policy.policy_version:
            raise ModelRefused(
                "policy.json",
                f"policy_version {fields['policy_version']} does not belong to its content",
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
