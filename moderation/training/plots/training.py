"""Five plots of a trained model: ROC, precision and recall, calibration, confusion, thresholds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from moderation.contracts import Verdict
from moderation.policy import Policy
from moderation.policy.policy import NEVER_PPM
from moderation.training.metrics import BINS, Bools, Floats, Metrics

BLUE, ORANGE, GREY = "#1f5fa8", "#d9720b", "#8a8f98"


def draw_plots(folder: Path, probability: Floats, removed: Bools, policy: Policy, metrics: Metrics) -> list[Path]:
    """Draw the plots as PNG files.

    Args:
        folder: an existing folder for the files.
        probability: out-of-fold probabilities of removal, shape (comments,).
        removed: the labels, shape (comments,).
        policy: its thresholds are marked.
        metrics: quoted in the titles.

    Returns:
        The files written: roc, precision_recall, calibration, confusion, thresholds.
    """
    drawings: dict[str, Callable[[Axes], None]] = {
        "roc": lambda axes: _roc(axes, probability, removed, metrics),
        "precision_recall": lambda axes: _precision_recall(axes, probability, removed, metrics),
        "calibration": lambda axes: draw_calibration(axes, probability, removed, metrics),
        "confusion": lambda axes: _confusion(axes, probability, removed, policy),
        "thresholds": lambda axes: draw_thresholds(axes, probability, removed, policy),
    }
    paths = []
    for name, draw in drawings.items():
        figure = Figure(figsize=(6, 5), dpi=110, layout="constrained")
        draw(figure.subplots())
        path = folder / f"{name}.png"
        figure.savefig(path, metadata={"Software": None})
        paths.append(path)
    return paths


def _roc(axes: Axes, probability: Floats, removed: Bools, metrics: Metrics) -> None:
    false_positive, true_positive, _ = roc_curve(removed, probability)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    axes.plot(false_positive, true_positive, color=BLUE)
    axes.set(
        title=f"ROC, out of fold (mean AUC of folds {metrics.auc_mean:.3f})",
        xlabel="share of kept comments above the threshold",
        ylabel="share of removed comments above the threshold",
    )


def _precision_recall(axes: Axes, probability: Floats, removed: Bools, metrics: Metrics) -> None:
    precision, recall, _ = precision_recall_curve(removed, probability)
    axes.axhline(removed.mean(), color=GREY, linestyle=":", label="share of removed comments")
    axes.plot(recall, precision, color=BLUE, label="model")
    axes.set(
        title=f"Precision and recall (average precision {metrics.average_precision:.3f})",
        xlabel="recall",
        ylabel="precision",
        ylim=(0, 1.02),
    )
    axes.legend(loc="upper right")


def draw_calibration(axes: Axes, probability: Floats, removed: Bools, metrics: Metrics) -> None:
    """Plot the removed share over the mean probability by bins; a calibrated model is on the diagonal."""
    bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    filled = count > 0
    predicted = np.bincount(bins, probability, BINS)[filled] / count[filled]
    observed = np.bincount(bins, removed, BINS)[filled] / count[filled]
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    axes.scatter(predicted, observed, s=10 + 400 * count[filled] / count.max(), color=BLUE, alpha=0.7)
    axes.set(
        title=f"Calibration (expected error {metrics.calibration_error:.3f}; area = comments)",
        xlabel="mean predicted probability",
        ylabel="share removed",
    )


def _confusion(axes: Axes, probability: Floats, removed: Bools, policy: Policy) -> None:
    verdicts = np.array(policy.verdicts(np.rint(1_000_000 * probability).astype(np.int64)))
    table = np.array([[((verdicts == v) & (removed == r)).sum() for v in Verdict] for r in (False, True)])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontweight="bold")
    axes.set(
        title="Labels of moderators and verdicts of the policy",
        xticks=range(len(Verdict)),
        xticklabels=list(Verdict),
        yticks=(0, 1),
        yticklabels=("kept", "removed"),
        xlabel="verdict",
    )


def draw_thresholds(axes: Axes, probability: Floats, removed: Bools, policy: Policy) -> None:
    """Plot precision, recall and share of comments above every threshold; mark the two of the policy."""
    threshold = np.linspace(0, 1, 201)
    ordered = np.sort(probability)
    ordered_removed = np.sort(probability[removed])
    above = len(ordered) - np.searchsorted(ordered, threshold)
    caught = len(ordered_removed) - np.searchsorted(ordered_removed, threshold)
    axes.plot(threshold, above / len(ordered), color=GREY, label="share of comments above")
    axes.plot(threshold, caught / max(len(ordered_removed), 1), color=BLUE, label="recall")
    some = above > 0
    axes.plot(threshold[some], caught[some] / above[some], color=ORANGE, label="precision")
    for name, ppm in (("review", policy.review_ppm), ("remove", policy.remove_ppm)):
        if ppm < NEVER_PPM:
            axes.axvline(ppm / 1_000_000, color="black", linestyle="--", linewidth=1)
            axes.text(ppm / 1_000_000, 1.02, name, ha="center", va="bottom")
    axes.set(title="Effect of a threshold\n", xlabel="threshold on the probability", ylim=(0, 1.01))
    axes.legend(loc="center right")
