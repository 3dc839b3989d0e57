"""A small training reference for model folders that tests write by hand."""

from __future__ import annotations

from moderation.training.drift import Reference
from moderation.training.reference import TrainingReference

REFERENCE = TrainingReference(
    comments=160,
    score=Reference((0.2, 0.6), (80.0, 40.0, 40.0)),
    length=Reference((20.0,), (60.0, 100.0)),
    unseen=Reference((), (160.0,)),
    communities={"science": 160.0},
    labels={"kept": 80.0, "removed": 80.0},
    agreement={"agreed": 150.0, "disagreed": 10.0},
)
