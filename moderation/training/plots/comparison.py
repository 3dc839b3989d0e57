"""Plot a comparison of models: ROC curves, AUC by fold, and differences to the baseline with their intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from moderation.training.benchmark.comparison import ComparedModel, ModelComparison
from moderation.training.plots.training import BLUE, GREY

# Okabe and Ito, Color Universal Design, 2008: distinguishable with colour blindness.
_COLOURS = ("#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#7A6A00", "#6A3D9A")
_LINES = ("-", "--", "-.", ":")


def draw_comparison(path: Path, comparison: ModelComparison) -> None:
    """Draw a comparison as a PNG file.

    Args:
        path: the file; its folder must exist.
        comparison: at least two models.
    """
    figure = Figure(figsize=(13, 7), dpi=110, layout="constrained")
    axes = figure.subplot_mosaic([["roc", "folds"], ["roc", "differences"]], width_ratios=(1.05, 1))
    _roc(axes["roc"], comparison)
    _folds(axes["folds"], comparison)
    _differences(axes["differences"], comparison)
    figure.savefig(path, metadata={"Software": None})


def _roc(axes: Axes, comparison: ModelComparison) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    for number, model in enumerate(comparison.models):
        false_positive, true_positive, _ = roc_curve(
            comparison.removed[model.is_measured], model.probability[model.is_measured]
        )
        axes.plot(
            false_positive,
            true_positive,
            color=_colour(number, model),
            linestyle="-" if model.difference is None else _LINES[number % len(_LINES)],
            linewidth=2.6 if model.difference is None else 1.3,
            zorder=3 if model.difference is None else 2,
            label=f"{model.spec.title} {model.metrics.auc_pooled:.3f}",
        )
    axes.set(
        title="ROC of all comments, out of fold",
        xlabel="share of kept comments above the threshold",
        ylabel="share of removed comments above the threshold",
    )
    axes.legend(loc="lower right", title="area under the curve")


def _folds(axes: Axes, comparison: ModelComparison) -> None:
    for row, (number, model) in enumerate(reversed(list(enumerate(comparison.models)))):
        colour = _colour(number, model)
        folds = model.metrics.auc_folds
        axes.plot((min(folds), max(folds)), (row, row), color=colour, linewidth=1.5, alpha=0.5)
        axes.scatter(folds, np.full(len(folds), row), s=18, color=colour, alpha=0.6)
        axes.scatter(model.metrics.auc_mean, row, s=70, marker="D", color=colour, zorder=3)
    _name_rows(axes, comparison.models)
    axes.set(title="ROC AUC: every fold, and their mean", xlabel="ROC AUC")


def _differences(axes: Axes, comparison: ModelComparison) -> None:
    compared = [(number, model) for number, model in enumerate(comparison.models) if model.difference is not None]
    axes.axvline(0, color="black", linewidth=1)
    for row, (number, model) in enumerate(reversed(compared)):
        if (difference := model.difference) is not None:
            axes.plot((difference.low, difference.high), (row, row), color=_colour(number, model), linewidth=3)
            axes.scatter(difference.value, row, s=50, color=_colour(number, model), zorder=3)
    _name_rows(axes, [model for _, model in compared])
    baseline = next(model for model in comparison.models if model.difference is None)
    axes.set(
        title=f"Difference to {baseline.spec.title}: an interval that contains 0 is not significant",
        xlabel="ROC AUC minus the baseline's",
    )


def _name_rows(axes: Axes, models: tuple[ComparedModel, ...] | list[ComparedModel]) -> None:
    axes.set_yticks(range(len(models)), [model.spec.title for model in reversed(models)])
    axes.grid(axis="x", color=GREY, alpha=0.25)


def _colour(number: int, model: ComparedModel) -> str:
    return BLUE if model.difference is None else _COLOURS[number % len(_COLOURS)]
