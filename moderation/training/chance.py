"""Whether a model is better than chance."""

from __future__ import annotations

import math

from moderation.training.metrics import Metrics

_Z = 1.959963984540054  # 95 %


def auc_low(metrics: Metrics) -> float:
    """Return the lower end of the 95 % interval of the mean ROC AUC (Hanley and McNeil, Radiology 143, 1982).

    Args:
        metrics: of out-of-fold scores.
    """
    auc, removed, kept = metrics.auc_mean, metrics.removed, metrics.comments - metrics.removed
    both_removed = auc / (2 - auc)
    both_kept = 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc) + (removed - 1) * (both_removed - auc * auc) + (kept - 1) * (both_kept - auc * auc)
    return auc - _Z * math.sqrt(max(variance, 0.0) / (removed * kept))
