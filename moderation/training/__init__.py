"""Training: labelled comments in, a fitted and calibrated model, its measurements and its policy out."""

from moderation.training.examples import Examples, collect_examples
from moderation.training.fit import Estimator, Trained, train

__all__ = ["Estimator", "Examples", "Trained", "collect_examples", "train"]
