"""What a night of the watch leaves behind: a table for people, a picture, and all of it as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np

from batch.drift.measures import ALARM, ALARM_OF_SHARES, Measures
from batch.drift.report import DriftReport
from batch.markdown import table
from moderation.training.drift import Finding, counts_of
from moderation.training.plots.drift import draw_drift
from moderation.training.reference import TrainingReference

REPORT, TABLE, PLOT = "drift.json", "drift.md", "drift.png"


def evidence_files(report: DriftReport, reference: TrainingReference, day: Measures) -> dict[str, bytes]:
    """The artifacts of a night, by name.

    Args:
        report: of the night.
        reference: of the model that serves.
        day: what was held against it; its counts are kept by the reference's bins, so that every index can be worked
            out again.
    """
    values, counts = day.numbers(), day.names()
    numbers = {name: (known, values[name]) for name, known in reference.numbers().items()}
    names = {name: (known, counts[name]) for name, known in reference.names().items()}
    content = {
        **report.fields(),
        "limits": {"numbers_and_communities": asdict(ALARM), "labels_and_agreement": asdict(ALARM_OF_SHARES)},
        "counts": {
            **{
                name: {
                    "edges": known.edges,
                    "training": known.counts,
                    "day": counts_of(own, np.array(known.edges)).tolist(),
                }
                for name, (known, own) in numbers.items()
            },
            **{name: {"training": dict(known), "day": dict(seen)} for name, (known, seen) in names.items()},
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


def _cells(name: str, finding: Finding) -> tuple[str, ...]:
    distance = "–" if finding.distance is None else f"{finding.distance:.3f}"
    chance = "–" if finding.distance_chance is None else f"{finding.distance_chance:.1e}"
    mark = "**drifted**" if finding.has_drifted else "too few" if finding.comments < ALARM.least else ""
    return name, f"{finding.comments:,}", f"{finding.psi:.3f}", f"{finding.chance:.1e}", distance, chance, mark
