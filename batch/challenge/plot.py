"""Plot of a comparison: the scores of both models, and the distribution of their difference."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from batch.challenge.comparison import ModelScores
from moderation.policy.policy import NEVER_PPM

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9720b", "#8a8f98"
_PPM = 1_000_000


def draw(challenger: ModelScores, production: ModelScores) -> bytes:
    """Plot both scores of every comment with both models' thresholds, and their difference, as PNG."""
    figure = Figure(figsize=(11, 5), dpi=110, layout="constrained")
    scores_axes, difference_axes = figure.subplots(1, 2)
    _plot_scores(scores_axes, challenger, production)
    _plot_difference(difference_axes, challenger, production)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _plot_scores(axes: Axes, challenger: ModelScores, production: ModelScores) -> None:
    axes.hexbin(
        production.scores_ppm / _PPM,
        challenger.scores_ppm / _PPM,
        gridsize=50,
        extent=(0, 1, 0, 1),
        norm=LogNorm(vmin=0.2),  # makes a single comment visible
        mincnt=1,
        cmap="Blues",
    )
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle=":")
    for ppm, style in ((production.policy.review_ppm, "--"), (production.policy.remove_ppm, "-")):
        if ppm < NEVER_PPM:
            axes.axvline(ppm / _PPM, color=_ORANGE, linestyle=style, linewidth=1)
    for ppm, style in ((challenger.policy.review_ppm, "--"), (challenger.policy.remove_ppm, "-")):
        if ppm < NEVER_PPM:
            axes.axhline(ppm / _PPM, color=_ORANGE, linestyle=style, linewidth=1)
    axes.set(
        title="Scores of the same comments (lines: review from, remove from)",
        xlabel=f"production, version {production.version}",
        ylabel=f"challenger, version {challenger.version}",
        xlim=(0, 1),
        ylim=(0, 1),
    )


def _plot_difference(axes: Axes, challenger: ModelScores, production: ModelScores) -> None:
    axes.hist((challenger.scores_ppm - production.scores_ppm) / _PPM, bins=np.linspace(-1, 1, 81).tolist(), color=_BLUE)
    axes.axvline(0, color=_GREY, linestyle=":")
    axes.set(
        title="How far apart they are",
        xlabel="challenger's score less production's",
        ylabel="comments",
        yscale="log",
    )
    axes.set_ylim(bottom=0.5)
    axes.yaxis.set_major_formatter("{x:,g}")
