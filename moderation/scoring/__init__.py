"""Scoring: the kernel, its scikit-learn interface, and explanations."""

from moderation.scoring.constant import CONSTANT_FAMILY, CONSTANT_PPM, constant_pipeline
from moderation.scoring.explain import (
    MOST_REASONS,
    Contribution,
    Explanation,
    decision_reasons,
    explain,
    reasons_many,
    storable_reasons,
)
from moderation.scoring.kernel import Kernel, LinearWeights
from moderation.scoring.pipeline import Family, ModerationPipeline, new_pipeline

__all__ = [
    "CONSTANT_FAMILY",
    "CONSTANT_PPM",
    "MOST_REASONS",
    "Contribution",
    "Explanation",
    "Family",
    "Kernel",
    "LinearWeights",
    "ModerationPipeline",
    "constant_pipeline",
    "decision_reasons",
    "explain",
    "new_pipeline",
    "reasons_many",
    "storable_reasons",
]
