"""Measure drift: how much the comments of a day differ from the training comments.

Two indices complement each other. The population stability index (PSI) sums changes in all parts of a distribution,
including its tails. The Kolmogorov-Smirnov distance detects a shift of the whole distribution. An alarm needs an index
that chance does not explain for samples of these sizes, so a small day raises no alarm, and that exceeds a limit, so a
large day raises no alarm for a negligible change.

Under no drift the PSI is about (1/n + 1/m) times a chi-square variable with one degree of freedom less than bins
(Yurdakul, Statistical Properties of Population Stability Index, 2018); the distance times sqrt(nm/(n + m)) follows
Kolmogorov's distribution, and stays below it where values are equal or compared at some points only (Noether, Note on
the Kolmogorov Statistic in the Discrete Case, 1963).

Weighted comments have the effective sample size (sum of weights)²/(sum of their squares) (Kish, Survey Sampling, 1965).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov
from scipy.stats import chi2

Floats = NDArray[np.float64]
Values = Sequence[float] | NDArray[np.float64] | NDArray[np.int64]
FINE_BINS, BINS = 100, 10
_SMOOTHING = 0.5
_LEAST_EXPECTED = 5  # comments in a bin; with fewer, chi-square is a poor approximation (Cochran, Biometrics 10, 1954)
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Reference:
    """The distribution of a measure among the training comments.

    Attributes:
        edges: inner borders of the bins, ascending, shape (bins - 1,); a value on a border belongs to the bin above.
        counts: comments by bin, shape (bins,); fractional for weighted comments.
    """

    edges: tuple[float, ...]
    counts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Limits of an alarm: an index must be large, and not explained by chance.

    Attributes:
        psi: minimum PSI; 0.2 is the usual limit of a shift.
        distance: minimum Kolmogorov-Smirnov distance; it equals a PSI of 0.2 for a shifted normal distribution.
        chance: maximum probability of an index this large without drift. With m indices per night the bound of a night
            is m times this (Bonferroni): for ten it is 0.001, one false alarm in three years.
        least: minimum number of comments on either side.
    """

    psi: float = 0.2
    distance: float = 0.18
    chance: float = 1e-4
    least: int = 200


@dataclass(frozen=True, slots=True)
class DriftResult:
    """The drift of one measure.

    Attributes:
        psi: population stability index.
        chance: probability of a PSI this large without drift.
        comments: comments of the day; the effective number for weighted ones.
        has_drifted: whether it is an alarm.
        distance: Kolmogorov-Smirnov distance in [0, 1]; None for counts by name.
        distance_chance: probability of a distance this large without drift; likewise.
    """

    psi: float
    chance: float
    comments: int
    has_drifted: bool
    distance: float | None = None
    distance_chance: float | None = None


def effective(counts: Floats, weight: Floats | None) -> Floats:
    """Scale weighted counts so that they sum to the effective sample size.

    Args:
        counts: sums of the weights, shape (bins,).
        weight: weight of each comment; None without weights.
    """
    total = float(counts.sum())
    if weight is None or not total:
        return counts
    return counts * float(weight.sum()) / float((weight * weight).sum())


def reference_of(values: Values, weight: Floats | None = None) -> Reference:
    """Bin the values of the training comments at their percentiles.

    Args:
        values: at least one, finite.
        weight: number of comments that each one represents; 1 each if None.

    Returns:
        At most 100 bins of about equal size; fewer if many values are equal. Borders have six decimal places.
    """
    array = np.asarray(values, np.float64)
    shares = np.arange(1, FINE_BINS) / FINE_BINS
    cuts = np.quantile(array, shares, method="inverted_cdf", weights=weight)
    edges = np.unique(np.round(cuts, _DIGITS))
    edges = edges[edges > array.min()]
    counts = np.round(effective(counts_of(array, edges, weight), weight), _DIGITS)
    return Reference(tuple(edges.tolist()), tuple(counts.tolist()))


def drift_of(
    reference: Reference, values: Values, alarm: Alarm | None = None, *, only_more: bool = False
) -> DriftResult:
    """Compare a day's values with the reference: the PSI over about ten bins, the distance over all of them.

    Args:
        reference: see :func:`reference_of`.
        values: values of the day, finite; may be empty.
        alarm: the defaults if None.
        only_more: alarm only if the values have increased overall.
    """
    alarm = alarm or Alarm()
    expected = np.array(reference.counts)
    seen = counts_of(np.asarray(values, np.float64), np.array(reference.edges))
    tenth = _tenths(expected)
    coarse = drift_of_counts(np.bincount(tenth, expected), np.bincount(tenth, seen), alarm)
    trained, comments = float(expected.sum()), float(seen.sum())
    if not trained or not comments:
        return DriftResult(
            coarse.psi, coarse.chance, coarse.comments, has_drifted=False, distance=0.0, distance_chance=1.0
        )
    gap = np.cumsum(expected) / trained - np.cumsum(seen) / comments
    distance = float(np.abs(gap).max())
    chance = float(kolmogorov(distance * np.sqrt(trained * comments / (trained + comments))))
    is_far = _is_enough(trained, comments, alarm) and distance >= alarm.distance and chance <= alarm.chance
    has_drifted = (coarse.has_drifted or is_far) and not (only_more and gap.sum() <= 0)
    return DriftResult(coarse.psi, coarse.chance, coarse.comments, has_drifted, distance, chance)


def drift_of_shares(
    reference: Mapping[str, float], day: Mapping[str, float], alarm: Alarm | None = None
) -> DriftResult:
    """Compute the PSI of counts by name, such as comments by community.

    Names with an expected number below five share one bin, which includes new names.
    """
    trained, comments = sum(reference.values()), sum(day.values())
    bins: dict[str, list[float]] = {}
    for name in sorted(reference.keys() | day.keys()):
        expected, seen = reference.get(name, 0), day.get(name, 0)
        is_rare = expected * comments < _LEAST_EXPECTED * trained
        both = bins.setdefault("" if is_rare else f"of {name}", [0, 0])
        both[0] += expected
        both[1] += seen
    return drift_of_counts([both[0] for both in bins.values()], [both[1] for both in bins.values()], alarm)


def drift_of_counts(reference: Values, day: Values, alarm: Alarm | None = None) -> DriftResult:
    """Compute the PSI of counts by bin.

    Args:
        reference: counts of the training comments, shape (bins,).
        day: counts of the day, shape (bins,).
        alarm: the defaults if None.
    """
    alarm = alarm or Alarm()
    expected, seen = np.asarray(reference, np.float64), np.asarray(day, np.float64)
    trained, comments = float(expected.sum()), float(seen.sum())
    if not trained or not comments:
        return DriftResult(0.0, 1.0, round(comments), has_drifted=False)
    # Add half a comment to every bin, so that an empty bin does not make the index infinite.
    p = (expected + _SMOOTHING) / (trained + _SMOOTHING * len(expected))
    q = (seen + _SMOOTHING) / (comments + _SMOOTHING * len(seen))
    psi = float(((q - p) * np.log(q / p)).sum())
    chance = float(chi2.sf(psi / (1 / trained + 1 / comments), max(1, len(expected) - 1)))
    has_drifted = _is_enough(trained, comments, alarm) and psi >= alarm.psi and chance <= alarm.chance
    return DriftResult(psi, chance, round(comments), has_drifted)


def counts_of(values: Floats, edges: Floats, weight: Floats | None = None) -> Floats:
    """Count values by bin, or sum their weights, shape (edges + 1,)."""
    counts = np.bincount(np.searchsorted(edges, values, side="right"), weight, minlength=len(edges) + 1)
    return counts.astype(np.float64)


def _is_enough(trained: float, comments: float, alarm: Alarm) -> bool:
    return min(trained, comments) >= alarm.least


def _tenths(counts: Floats) -> NDArray[np.int64]:
    """Map each fine bin to a coarse bin of about a tenth of all comments, from 0: the one that contains its middle."""
    middle = np.cumsum(counts) - counts / 2
    tenth = np.floor(BINS * middle / counts.sum()).astype(np.int64) if counts.sum() else np.zeros(len(counts), np.int64)
    return np.unique(tenth, return_inverse=True)[1]
