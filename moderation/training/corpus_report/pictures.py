"""Plots of the page, as PNG.

Texts of comments are not drawn: fonts lack many characters, and Matplotlib interprets some as formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray

from moderation.training.corpus_report.groups import Rate
from moderation.training.metrics import Bools, Floats
from moderation.training.plots.training import BLUE, GREY, ORANGE

Draw = Callable[[Axes], None]
Ints = NDArray[np.int64]
_MOST_NAMES, _MOST_LETTERS = 12, 40
"""Limits of labels below an axis: names and letters."""
_PLAIN = FuncFormatter(lambda value, _: f"{value:,.0f}")


def picture(draw: Draw, height: float = 3.3) -> bytes:
    """Draw a plot of five inches by ``height`` as PNG; its text is readable on a phone."""
    figure = Figure(figsize=(5, height), dpi=160, layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.title.set_fontsize("medium")
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def draw_balance(axes: Axes, removed: int, kept: int) -> None:
    """Draw the numbers of removed and kept comments."""
    axes.barh((1, 0), (removed, kept), color=(ORANGE, BLUE))
    for row, count in ((1, removed), (0, kept)):
        axes.text(count, row, f" {count:,}", va="center")
    axes.set_yticks((1, 0), ("removed", "kept"))
    axes.set_xlim(0, 1.15 * max(removed, kept))
    axes.set(xlabel="comments")
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(_PLAIN)


def draw_lengths(axes: Axes, characters: Ints, removed: Bools) -> None:
    """Draw lengths of removed and kept comments on a logarithmic axis; the bars of each class sum to 100 %."""
    longest = max(int(characters.max()), 10)
    edges = np.unique(np.round(np.geomspace(1, longest + 1, 31)))
    for side, colour, name in ((~removed, BLUE, "kept"), (removed, ORANGE, "removed")):
        lengths = np.maximum(characters[side], 1)
        shares = np.histogram(lengths, edges)[0] / max(len(lengths), 1)
        axes.stairs(shares, edges, color=colour, fill=True, alpha=0.25)
        axes.stairs(shares, edges, color=colour, linewidth=1.8, label=name)
        if len(lengths):
            axes.axvline(float(np.median(lengths)), color=colour, linestyle="--", linewidth=1.2)
    axes.set(xscale="log", xlabel="characters (dashed: medians)", ylabel="share of the comments of its kind")
    axes.xaxis.set_major_formatter(_PLAIN)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend()


def draw_rates(axes: Axes, rates: Sequence[Rate], xlabel: str, overall: float) -> None:
    """Draw removal rates of groups with 95 % intervals, and the overall rate as a line."""
    filled = [index for index, rate in enumerate(rates) if rate.comments]
    shares = [rates[index].share for index in filled]
    values = np.array([share.value for share in shares])
    errors = np.abs(np.array([(share.value - share.low, share.high - share.value) for share in shares]).T)
    axes.bar(filled, values, color=BLUE, alpha=0.75)
    axes.errorbar(filled, values, yerr=errors, fmt="none", ecolor="black", elinewidth=1.2, capsize=2.5)
    axes.axhline(overall, color=ORANGE, linestyle="--", label="all comments")
    _name_groups(axes, [rate.group for rate in rates])
    axes.set(xlabel=xlabel, ylabel="share removed", ylim=(0, None))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend()


def draw_counts(axes: Axes, rates: Sequence[Rate], xlabel: str) -> None:
    """Draw the numbers of removed and kept comments of groups, one above the other."""
    removed = np.array([rate.removed for rate in rates])
    kept = np.array([rate.comments for rate in rates]) - removed
    axes.bar(range(len(rates)), kept, color=BLUE, alpha=0.75, label="kept")
    axes.bar(range(len(rates)), removed, bottom=kept, color=ORANGE, label="removed")
    _name_groups(axes, [rate.group for rate in rates])
    axes.set(xlabel=xlabel, ylabel="comments")
    axes.yaxis.set_major_formatter(_PLAIN)
    axes.legend()


def draw_totals(axes: Axes, rates: Sequence[Rate], xlabel: str) -> None:
    """Draw the numbers of comments of groups."""
    axes.bar(range(len(rates)), [rate.comments for rate in rates], color=BLUE, alpha=0.75)
    _name_groups(axes, [rate.group for rate in rates])
    axes.set(xlabel=xlabel, ylabel="comments")
    axes.yaxis.set_major_formatter(_PLAIN)


def draw_all_lengths(axes: Axes, characters: Ints) -> None:
    """Draw lengths of comments on a logarithmic axis."""
    edges = np.unique(np.round(np.geomspace(1, max(int(characters.max()), 10) + 1, 31)))
    counts = np.histogram(np.maximum(characters, 1), edges)[0]
    axes.stairs(counts / len(characters), edges, color=BLUE, fill=True, alpha=0.75)
    axes.axvline(max(float(np.median(characters)), 1), color="black", linestyle="--", linewidth=1.2)
    axes.set(xscale="log", xlabel="characters (dashed: median)", ylabel="share of the comments")
    axes.xaxis.set_major_formatter(_PLAIN)
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _name_groups(axes: Axes, names: Sequence[str]) -> None:
    step = 1 if len(names) <= _MOST_NAMES else 3
    is_long = sum(map(len, names[::step])) > _MOST_LETTERS
    shown = range(0, len(names), step)
    axes.set_xticks(shown, names[::step], rotation=45 if is_long else 0, ha="right" if is_long else "center")


def draw_ranks(axes: Axes, frequency: Ints) -> None:
    """Draw occurrences of tokens by rank, with Zipf's law for comparison."""
    rank = np.arange(1, len(frequency) + 1)
    axes.plot(rank, frequency, color=BLUE, linewidth=2, label="tokens")
    axes.plot(rank, frequency[0] / rank, color=GREY, linestyle=":", label="Zipf's law")
    axes.set(xscale="log", yscale="log", xlabel="rank", ylabel="occurrences", ylim=(0.7, None))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_PLAIN)
    axes.legend()


def draw_scores(axes: Axes, probability: Floats, removed: Bools) -> None:
    """Draw the distributions of out-of-fold probabilities of removed and kept comments."""
    edges = np.linspace(0, 1, 41)
    for side, colour, name in ((~removed, BLUE, "kept"), (removed, ORANGE, "removed")):
        shares = np.histogram(probability[side], edges)[0] / max(int(side.sum()), 1)
        axes.stairs(shares, edges, color=colour, fill=True, alpha=0.25)
        axes.stairs(shares, edges, color=colour, linewidth=1.8, label=name)
    axes.set(xlabel="probability of removal, out of fold", ylabel="share of the comments of its kind")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend()
