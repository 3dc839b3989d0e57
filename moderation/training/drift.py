"""Whether a day's comments still look like those a model was trained on.

Two indices, since each is blind to what the other sees: the population stability index (PSI) adds up what changed
anywhere, tails included; the Kolmogorov-Smirnov distance sees a shift that is spread over all of a distribution. Both
are compared with what chance alone would make of two samples of these sizes, so a small day alarms nobody, and with
a size that matters, so a large day does not alarm over nothing.

Under no drift the PSI is about (1/n + 1/m) times a chi-square variable with one degree of freedom less than bins
(Yurdakul, Statistical Properties of Population Stability Index, 2018); the distance times sqrt(nm/(n + m)) follows
Kolmogorov's distribution, and stays below it where values are equal or compared at some points only (Noether, Note on
the Kolmogorov Statistic in the Discrete Case, 1963).

Comments that stand for others count as many as make a mean as precise, (sum of weights)²/(sum of their squares) of all
together (Kish, Survey Sampling, 1965).
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
_LEAST_EXPECTED = 5  # of a bin's comments; below, chi-square is no approximation (Cochran, Biometrics 10, 1954)
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Reference:
    """How a measure was distributed among the training comments.

    Attributes:
        edges: inner borders of the bins, ascending, shape (bins - 1,); a value on a border lies above it.
        counts: comments by bin, shape (bins,); no integers where comments stand for others.
    """

    edges: tuple[float, ...]
    counts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """When a measure is said to have drifted: an index is as large as matters, and not by chance.

    Attributes:
        psi: least PSI that matters; 0.2 is what practice calls a shift.
        distance: least Kolmogorov-Smirnov distance that matters; what a PSI of 0.2 is of a shifted normal distribution.
        chance: an index is not by chance when so large a one is at most this probable without drift. With m indices a
            night the bound of a whole night is m times this (Bonferroni): for ten it is 0.001: a night in three years.
        least: comments below which, on either side, nothing is said.
    """

    psi: float = 0.2
    distance: float = 0.18
    chance: float = 1e-4
    least: int = 200


@dataclass(frozen=True, slots=True)
class DriftResult:
    """What one measure shows.

    Attributes:
        psi: population stability index.
        chance: how probable so large an index is without drift.
        comments: of the day; of weighted ones as many as they count for.
        has_drifted: whether it is an alarm.
        distance: Kolmogorov-Smirnov distance in [0, 1]; None for counts by name.
        distance_chance: how probable so large a distance is without drift; likewise.
    """

    psi: float
    chance: float
    comments: int
    has_drifted: bool
    distance: float | None = None
    distance_chance: float | None = None


def effective(counts: Floats, weight: Floats | None) -> Floats:
    """Weighted counts, scaled to add up to as many comments as they are as precise as.

    Args:
        counts: sums of the weights, shape (bins,).
        weight: of each comment; None if the counts are plain.
    """
    total = float(counts.sum())
    if weight is None or not total:
        return counts
    return counts * float(weight.sum()) / float((weight * weight).sum())


def reference_of(values: Values, weight: Floats | None = None) -> Reference:
    """Cut the training comments' values at their percentiles.

    Args:
        values: at least one, finite.
        weight: how many comments each stands for; 1 each if None.

    Returns:
        At most 100 bins of about equal size; fewer when many values are equal. Borders have six decimal places.
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
        values: of the day, finite; may be none.
        alarm: the defaults if None.
        only_more: whether it is an alarm only when values have grown on the whole.
    """
    alarm = alarm or Alarm()
    expected = np.array(reference.counts)
    seen = counts_of(np.asarray(values, np.float64), np.array(reference.edges))
    tenth = _tenths(expected)
    found = drift_of_counts(np.bincount(tenth, expected), np.bincount(tenth, seen), alarm)
    trained, comments = float(expected.sum()), float(seen.sum())
    if not trained or not comments:
        return DriftResult(
            found.psi, found.chance, found.comments, has_drifted=False, distance=0.0, distance_chance=1.0
        )
    gap = np.cumsum(expected) / trained - np.cumsum(seen) / comments
    distance = float(np.abs(gap).max())
    chance = float(kolmogorov(distance * np.sqrt(trained * comments / (trained + comments))))
    is_far = _is_enough(trained, comments, alarm) and distance >= alarm.distance and chance <= alarm.chance
    has_drifted = (found.has_drifted or is_far) and not (only_more and gap.sum() <= 0)
    return DriftResult(found.psi, found.chance, found.comments, has_drifted, distance, chance)


def drift_of_shares(
    reference: Mapping[str, float], day: Mapping[str, float], alarm: Alarm | None = None
) -> DriftResult:
    """The PSI of counts by name, such as comments by community.

    Names of which fewer than five comments are to be expected on such a day share one bin, new names among them.
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
    """The PSI of counts by bin.

    Args:
        reference: of the training comments, shape (bins,).
        day: of the day, shape (bins,).
        alarm: the defaults if None.
    """
    alarm = alarm or Alarm()
    expected, seen = np.asarray(reference, np.float64), np.asarray(day, np.float64)
    trained, comments = float(expected.sum()), float(seen.sum())
    if not trained or not comments:
        return DriftResult(0.0, 1.0, round(comments), has_drifted=False)
    # Half a comment more in every bin: an empty one must not make the index infinite.
    p = (expected + _SMOOTHING) / (trained + _SMOOTHING * len(expected))
    q = (seen + _SMOOTHING) / (comments + _SMOOTHING * len(seen))
    psi = float(((q - p) * np.log(q / p)).sum())
    chance = float(chi2.sf(psi / (1 / trained + 1 / comments), max(1, len(expected) - 1)))
    has_drifted = _is_enough(trained, comments, alarm) and psi >= alarm.psi and chance <= alarm.chance
    return DriftResult(psi, chance, round(comments), has_drifted)


def counts_of(values: Floats, edges: Floats, weight: Floats | None = None) -> Floats:
    """Values by bin, or the sums of their weights, shape (edges + 1,)."""
    counts = np.bincount(np.searchsorted(edges, values, side="right"), weight, minlength=len(edges) + 1)
    return counts.astype(np.float64)


def _is_enough(trained: float, comments: float, alarm: Alarm) -> bool:
    return min(trained, comments) >= alarm.least


def _tenths(counts: Floats) -> NDArray[np.int64]:
    """Which bin of about a tenth of all comments each fine one belongs to: the one its middle lies in, from 0."""
    middle = np.cumsum(counts) - counts / 2
    tenth = np.floor(BINS * middle / counts.sum()).astype(np.int64) if counts.sum() else np.zeros(len(counts), np.int64)
    return np.unique(tenth, return_inverse=True)[1]
