"""Measure the quality of a model on out-of-fold scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, precision_recall_curve, roc_auc_score

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
BINS = 10


@dataclass(frozen=True, slots=True)
class Metrics:
    """Measurements on out-of-fold probabilities.

    Attributes:
        auc_mean: mean of ``auc_folds``.
        auc_folds: ROC AUC within each fold.
        auc_pooled: ROC AUC over all folds' calibrated probabilities together.
        average_precision: area under the precision-recall curve.
        brier: mean squared error of the probability.
        calibration_error: expected calibration error over ten equally wide bins, see :func:`calibration_error`.
        best_f1: largest F1 of any threshold.
        comments, removed: numbers of examples and of removed ones.
    """

    auc_mean: float
    auc_folds: tuple[float, ...]
    auc_pooled: float
    average_precision: float
    brier: float
    calibration_error: float
    best_f1: float
    comments: int
    removed: int


def measure(probability: Floats, removed: Bools, fold: NDArray[np.int64], weight: Floats | None = None) -> Metrics:
    """Measure out-of-fold probabilities.

    Args:
        probability: of removal, in [0, 1], shape (comments,).
        removed: the labels, shape (comments,).
        fold: fold of each comment, shape (comments,).
        weight: number of comments that each one represents, shape (comments,); 1 each if None.
    """

    def auc_of(members: Bools) -> float:
        weights = None if weight is None else weight[members]
        return float(roc_auc_score(removed[members], probability[members], sample_weight=weights))

    auc = tuple(auc_of(fold == k) for k in range(int(fold.max()) + 1))
    precision, recall, _ = precision_recall_curve(removed, probability, sample_weight=weight)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return Metrics(
        auc_mean=float(np.mean(auc)),
        auc_folds=auc,
        auc_pooled=auc_of(np.ones(len(removed), bool)),
        average_precision=float(average_precision_score(removed, probability, sample_weight=weight)),
        brier=float(brier_score_loss(removed, probability, sample_weight=weight)),
        calibration_error=calibration_error(probability, removed, weight),
        best_f1=float(f1.max()),
        comments=len(removed),
        removed=int(removed.sum()),
    )


def calibration_error(probability: Floats, removed: Bools, weight: Floats | None = None) -> float:
    """Expected calibration error: mean of |removed share − mean probability| over ten bins, weighted by their size.

    Naeini, Cooper, Hauskrecht: Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
    """
    bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    weights = np.ones(len(probability)) if weight is None else weight
    gap = np.bincount(bins, weights * probability, BINS) - np.bincount(bins, weights * removed, BINS)
    return float(np.abs(gap).sum() / weights.sum())
