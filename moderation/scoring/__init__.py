"""Scoring: the kernel, its scikit-learn face, and explanations."""

from moderation.scoring.kernel import Kernel, LinearWeights
from moderation.scoring.pipeline import ModerationPipeline, new_pipeline

__all__ = ["Kernel", "LinearWeights", "ModerationPipeline", "new_pipeline"]
