"""Scoring: the kernel, its scikit-learn interface, and explanations."""

from moderation.scoring.constant import CONSTANT_FAMILY, CONSTANT_PPM, constant_pipeline
from moderation.scoring.explain import Contribution, Explanation, explain, reasons_many
from moderation.scoring.kernel import Kernel, LinearWeights
from moderation.scoring.pipeline import Family, ModerationPipeline, new_pipeline

__all__ = [
    "CONSTANT_FAMILY",
    "CONSTANT_PPM",
    "Contribution",
    "Explanation",
    "Family",
    "Kernel",
    "LinearWeights",
    "ModerationPipeline",
    "constant_pipeline",
    "explain",
    "new_pipeline",
    "reasons_many",
]
