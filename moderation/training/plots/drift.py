"""Plot the distributions of a day beside those of the training comments."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moderation.training.drift import DriftResult, Reference, counts_of
from moderation.training.metrics import Floats

_BLUE, _ORANGE = "#1f5fa8", "#d9720b"
_MOST_NAMES = 8


def draw_drift(
    title: str,
    numbers: Mapping[str, tuple[Reference, Floats]],
    names: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]],
    findings: Mapping[str, DriftResult],
) -> bytes:
    """Draw reference and day side by side, as a PNG file.

    Args:
        title: title of the figure.
        numbers: reference and the day's values, by measure.
        names: counts by name of the reference and of the day, by measure.
        findings: by measure; the indices are the title of each panel, bold for an alarm.
    """
    columns = max(len(numbers), len(names))
    figure = Figure(figsize=(4.5 * columns, 8), dpi=110, layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(2, columns, squeeze=False)
    for axes, (name, (reference, values)) in zip(panels[0], numbers.items(), strict=False):
        _distribution(axes, reference, values)
        _head(axes, name, findings[name])
    for axes, (name, (expected, seen)) in zip(panels[1], names.items(), strict=False):
        _shares(axes, expected, seen)
        _head(axes, name, findings[name])
    panels[0][0].legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _head(axes: Axes, name: str, finding: DriftResult) -> None:
    text = f"{name}: PSI {finding.psi:.3f}"
    if finding.distance is not None:
        text += f", distance {finding.distance:.3f}"
    axes.set_title(text, color="black" if not finding.has_drifted else _ORANGE, fontweight=_weight(finding))


def _weight(finding: DriftResult) -> str:
    return "bold" if finding.has_drifted else "normal"


def _distribution(axes: Axes, reference: Reference, values: Floats) -> None:
    edges = np.array(reference.edges)
    for counts, colour, label in (
        (np.array(reference.counts), _BLUE, "training"),
        (counts_of(values, edges), _ORANGE, "day"),
    ):
        if len(edges) and counts.sum():
            axes.plot(edges, np.cumsum(counts)[:-1] / counts.sum(), color=colour, label=label, marker=".", markersize=3)
        else:
            axes.plot([], [], color=colour, label=label)
    axes.set(ylim=(-0.02, 1.02), ylabel="share of comments below")


def _shares(axes: Axes, expected: Mapping[str, float], seen: Mapping[str, float]) -> None:
    both = {
        name: expected.get(name, 0) / _sum(expected) + seen.get(name, 0) / _sum(seen) for name in {*expected, *seen}
    }
    names = sorted(both, key=lambda name: (-both[name], name))
    shown = names[:_MOST_NAMES]
    rows = np.arange(len(shown))
    for counts, colour, offset in ((expected, _BLUE, -0.2), (seen, _ORANGE, 0.2)):
        shares = [counts.get(name, 0) / _sum(counts) for name in shown]
        axes.barh(rows + offset, shares, 0.4, color=colour)
    rest = len(names) - len(shown)
    axes.set(yticks=rows, yticklabels=shown, xlabel="share of comments" + (f"; {rest} more not shown" if rest else ""))
    axes.invert_yaxis()


def _sum(counts: Mapping[str, float]) -> float:
    return sum(counts.values()) or 1.0
