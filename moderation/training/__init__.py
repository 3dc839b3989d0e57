"""Training: fit and calibrate a model on labelled comments, measure it, and resolve its policy."""

from moderation.training.examples import Examples, collect_examples
from moderation.training.fit import Estimator, Trained, train

__all__ = ["Estimator", "Examples", "Trained", "collect_examples", "train"]
