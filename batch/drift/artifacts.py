"""Artifacts of a drift check: a table, a plot, and all figures as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np

from batch.drift.measures import ALARM, ALARM_OF_SHARES, Measures
from batch.drift.report import DriftReport
from batch.markdown import table
from moderation.training.drift import DriftResult, counts_of
from moderation.training.plots.drift import draw_drift
from moderation.training.reference import TrainingReference

REPORT, TABLE, PLOT = "drift.json", "drift.md", "drift.png"


def evidence_files(report: DriftReport, reference: TrainingReference, day: Measures) -> dict[str, bytes]:
    """Return the artifacts of a drift check, by name.

    Args:
        report: of the check.
        reference: of the production model.
        day: measures of the day; their counts are stored by the reference's bins, so that every index can be
            recomputed.
    """
    values, counts = day.numbers(), day.names()
    numbers = {name: (trained, values[name]) for name, trained in reference.numbers().items()}
    names = {name: (trained, counts[name]) for name, trained in reference.names().items()}
    content = {
        **report.fields(),
        "limits": {"numbers_and_communities": asdict(ALARM), "labels_and_agreement": asdict(ALARM_OF_SHARES)},
        "counts": {
            **{
                name: {
                    "edges": trained.edges,
                    "training": trained.counts,
                    "day": counts_of(observed, np.array(trained.edges)).tolist(),
                }
                for name, (trained, observed) in numbers.items()
            },
            **{name: {"training": dict(trained), "day": dict(observed)} for name, (trained, observed) in names.items()},
        },
    }
    title = f"{report.day} against the training of version {report.production}"
    return {
        REPORT: (json.dumps(content, indent=1, sort_keys=True) + "\n").encode(),
        TABLE: drift_table(report).encode(),
        PLOT: draw_drift(title, numbers, names, report.findings),
    }


def drift_table(report: DriftReport) -> str:
    """Return the report as Markdown."""
    header = "| measure | comments | PSI | by chance | distance | by chance | |"
    lines = [
        f"# Drift: {report.day} against the training of version {report.production}",
        "",
        f"{report.comments:,} comments; labels and agreement: {report.labelled:,} of {report.labels_day}, "
        "the newest day whose labels were mature.",
        "",
        report.summary,
        "",
        *table(header, (_cells(name, finding) for name, finding in report.findings.items())),
        "",
        f"An alarm: PSI from {ALARM.psi:g} ({ALARM_OF_SHARES.psi:g} for labels and agreement) or distance from "
        f"{ALARM.distance:g}, at a chance of at most {ALARM.chance:.1e}, of {ALARM.least} comments or more.",
    ]
    return "\n".join(lines) + "\n"


def _cells(name: str, finding: DriftResult) -> tuple[str, ...]:
    distance = "–" if finding.distance is None else f"{finding.distance:.3f}"
    chance = "–" if finding.distance_chance is None else f"{finding.distance_chance:.1e}"
    mark = "**drifted**" if finding.has_drifted else "too few" if finding.comments < ALARM.least else ""
    return name, f"{finding.comments:,}", f"{finding.psi:.3f}", f"{finding.chance:.1e}", distance, chance, mark
