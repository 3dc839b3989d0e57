"""Measurements and reference of a model that was trained on no comment."""

from __future__ import annotations

import hashlib

from moderation.training.drift import Reference
from moderation.training.metrics import Metrics
from moderation.training.reference import TrainingReference

NO_DATA_DIGEST = hashlib.sha256(b"").hexdigest()
"""Data digest of no example."""


def no_metrics() -> Metrics:
    """Return measurements of no comment: an AUC by chance, and the worst possible value of every other measure."""
    return Metrics(
        auc_mean=0.5,
        auc_folds=(),
        auc_pooled=0.5,
        average_precision=0.0,
        brier=1.0,
        calibration_error=1.0,
        best_f1=0.0,
        comments=0,
        removed=0,
    )


def no_reference() -> TrainingReference:
    """Return the distributions of no comment: no measure of a day can drift from them."""
    nothing = Reference(edges=(), counts=(0.0,))
    return TrainingReference(
        comments=0, score=nothing, length=nothing, unseen=nothing, communities={}, labels={}, agreement={}
    )
