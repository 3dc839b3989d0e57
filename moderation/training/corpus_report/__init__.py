"""What labelled comments look like before and after a model has seen them, as one page of pictures."""

from moderation.training.corpus_report.figures import Exploration, explore
from moderation.training.corpus_report.page import OutOfFold, render

__all__ = ["Exploration", "OutOfFold", "explore", "render"]
