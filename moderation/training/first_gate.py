"""The gate of a first version: absolute criteria on out-of-fold measurements. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from moderation.policy import Lowering
from moderation.training.examples import LEAST_OF_A_CLASS
from moderation.training.gate import Interval, Judgement


@dataclass(frozen=True, slots=True)
class FirstLimits:
    """Limits of the gate of a first version.

    Attributes:
        auc: the lower end of the AUC's interval must be above it; 0.5 is chance.
        least_of_class: minimum number of removed comments, and of kept ones.
        confidence: confidence of the interval.
    """

    auc: float = 0.5
    least_of_class: int = LEAST_OF_A_CLASS
    confidence: float = 0.95


def judge_first(
    metrics: Mapping[str, Any], lowered: Sequence[Lowering] = (), limits: FirstLimits | None = None
) -> Judgement:
    """Judge a first version.

    Args:
        metrics: ``auc_mean``, ``comments`` and ``removed`` of :class:`moderation.training.metrics.Metrics`.
        lowered: goals that its policy does not meet as stated.
        limits: the defaults if None.
    """
    limits = limits or FirstLimits()
    removed, kept = int(metrics["removed"]), int(metrics["comments"]) - int(metrics["removed"])
    reasons = [str(each) for each in lowered]
    figures = {"comments": float(metrics["comments"]), "removed": float(removed), "auc": float(metrics["auc_mean"])}
    if min(removed, kept) < limits.least_of_class:
        reasons.append(
            f"{removed:,} removed and {kept:,} kept comments; at least {limits.least_of_class} of each are needed"
        )
        return Judgement(tuple(reasons), None, figures, {})
    interval = auc_interval(figures["auc"], removed, kept, limits.confidence)
    if not interval.low > limits.auc:
        reasons.append(
            f"its AUC of {interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f}) is not above "
            f"{limits.auc}, so it may be no better than chance"
        )
    return Judgement(tuple(reasons), None, figures, {"auc": interval})


def auc_interval(auc: float, removed: int, kept: int, confidence: float) -> Interval:
    """Confidence interval of an AUC by its standard error.

    Hanley and McNeil, The Meaning and Use of the Area under a ROC Curve, Radiology 1982. Comments count as independent,
    so copies make the interval too narrow.

    Args:
        auc: area under the ROC curve, in [0, 1].
        removed: number of removed comments, at least 1.
        kept: number of kept comments, at least 1.
        confidence: confidence of the interval, in (0, 1).
    """
    both_removed, both_kept = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (removed - 1) * (both_removed - auc**2) + (kept - 1) * (both_kept - auc**2)
    error = math.sqrt(max(variance, 0.0) / (removed * kept))
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Interval(auc, max(auc - reach, 0.0), min(auc + reach, 1.0))
