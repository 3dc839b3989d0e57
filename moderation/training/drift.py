"""Whether a day's comments still look like those a model was trained on.

A population stability index is compared with what chance alone would make of two samples of these sizes, so a small day
alarms nobody and a large one does not alarm over nothing: under no drift the index is about (1/n + 1/m) times a
chi-square variable with one degree of freedom less than bins (Yurdakul, Statistical Properties of Population Stability
Index, 2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

Counts = NDArray[np.int64]
BINS = 10
_SMOOTHING = 0.5


@dataclass(frozen=True, slots=True)
class Reference:
    """How a measure was distributed among the training comments.

    Attributes:
        edges: inner borders of the bins, ascending, shape (bins - 1,); a value on a border lies above it.
        counts: comments by bin, shape (bins,).
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """When a measure is said to have drifted: both must hold.

    Attributes:
        psi: least index that matters; 0.2 is what practice calls a shift.
        chance: least improbable index under no drift, for one measure on one day.
        least: comments of a day below which nothing is said.
    """

    psi: float = 0.2
    chance: float = 1e-4
    least: int = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """What one measure shows.

    Attributes:
        psi: population stability index.
        chance: how probable so large an index is without drift.
        comments: of the day.
        has_drifted: whether it is an alarm.
    """

    psi: float
    chance: float
    comments: int
    has_drifted: bool


def reference_of(values: Sequence[float] | NDArray[np.float64], bins: int = BINS) -> Reference:
    """Cut the training comments' values into bins of about equal size.

    Args:
        values: at least one, finite.
        bins: how many at most; fewer when many values are equal.
    """
    array = np.asarray(values, np.float64)
    edges = np.unique(np.quantile(array, np.arange(1, bins) / bins))
    return Reference(tuple(edges.tolist()), tuple(_counts(array, edges).tolist()))


def drift_of(
    reference: Reference, values: Sequence[float] | NDArray[np.float64], alarm: Alarm | None = None
) -> Finding:
    """Compare a day's values with the reference.

    Args:
        reference: see :func:`reference_of`.
        values: of the day, finite; may be none.
        alarm: the defaults if None.
    """
    day = _counts(np.asarray(values, np.float64), np.array(reference.edges))
    return drift_of_counts(reference.counts, day, alarm)


def drift_of_shares(reference: Mapping[str, int], day: Mapping[str, int], alarm: Alarm | None = None) -> Finding:
    """The same for counts by name, such as comments by community; a name that is new is a bin of its own."""
    names = sorted(reference.keys() | day.keys())
    return drift_of_counts([reference.get(name, 0) for name in names], [day.get(name, 0) for name in names], alarm)


def drift_of_counts(
    reference: Sequence[int] | Counts, day: Sequence[int] | Counts, alarm: Alarm | None = None
) -> Finding:
    """The same for counts by bin.

    Args:
        reference: of the training comments, shape (bins,).
        day: of the day, shape (bins,).
        alarm: the defaults if None.
    """
    alarm = alarm or Alarm()
    expected, seen = np.asarray(reference, np.float64), np.asarray(day, np.float64)
    trained, comments = float(expected.sum()), int(seen.sum())
    if not trained or not comments:
        return Finding(0.0, 1.0, comments, has_drifted=False)
    # Half a comment more in every bin: an empty one must not make the index infinite.
    p = (expected + _SMOOTHING) / (trained + _SMOOTHING * len(expected))
    q = (seen + _SMOOTHING) / (comments + _SMOOTHING * len(seen))
    psi = float(((q - p) * np.log(q / p)).sum())
    chance = float(chi2.sf(psi / (1 / trained + 1 / comments), max(1, len(expected) - 1)))
    has_drifted = comments >= alarm.least and psi >= alarm.psi and chance <= alarm.chance
    return Finding(psi, chance, comments, has_drifted)


def _counts(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Counts:
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
