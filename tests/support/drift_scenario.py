"""Run the drift check on generated days with a model that was trained on the first weeks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from batch.drift.measures import compare_with_reference, measure_day
from batch.labelled_examples import Example
from moderation.bootstrap import load, train_to_folder
from moderation.contracts import Comment
from moderation.datasets.synthetic import TrafficConfig, labelled_history
from moderation.policy import parse_goal
from moderation.settings import Settings
from moderation.training.drift import DriftResult

DAY_US = 86_400_000_000
GROWING = "gaming"
Labelled = Sequence[tuple[Comment, bool]]


def days_of(traffic: TrafficConfig, doubles_in_days: int | None = None) -> Iterator[Labelled]:
    """Return the labelled comments of each day; a community may double its size in the course."""

    def day(labelled: tuple[Comment, bool]) -> int:
        return (labelled[0].event_time_us - traffic.start_us) // DAY_US

    rows = sorted(
        ((each.comment, each.removed) for each in labelled_history(traffic)), key=lambda row: row[0].event_time_us
    )
    for number, group in groupby(rows, day):
        size = 1.0 if doubles_in_days is None else min(1.0, 0.5 + 0.5 * number / doubles_in_days)
        yield [row for row in group if row[0].community != GROWING or _draw(row[0]) < size]


def watched(days: Iterator[Labelled], folder: Path, *, training_days: int) -> Iterator[dict[str, DriftResult]]:
    """Return the findings of the drift check for every day after the training days."""
    settings = Settings()
    training = [row for _ in range(training_days) for row in next(days)]
    train_to_folder(training, folder, [parse_goal("review_share<=0.2")], settings, folds=3)
    model = load(folder, settings)
    for rows in days:
        labelled = [Example(comment, removed, 1.0) for comment, removed in rows]
        yield compare_with_reference(model.reference, measure_day(model, [comment for comment, _ in rows], labelled))


def drifted(findings: dict[str, DriftResult]) -> list[str]:
    """Return the measures that have drifted."""
    return [name for name, finding in findings.items() if finding.has_drifted]


def _draw(comment: Comment) -> float:
    return int.from_bytes(hashlib.sha256(comment.comment_id.encode()).digest()[:8], "big") / 2**64
