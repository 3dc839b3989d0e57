"""A report on labelled comments and out-of-fold scores, as one HTML page with plots."""

from moderation.training.corpus_report.figures import Exploration, explore
from moderation.training.corpus_report.page import OutOfFold, render

__all__ = ["Exploration", "OutOfFold", "explore", "render"]
