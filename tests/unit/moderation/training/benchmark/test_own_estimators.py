"""Estimators of the user's code: imported, called for each fold, and named in every error."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moderation.errors import ConfigurationError, TrainingError
from moderation.training.benchmark.own_estimators import own_estimator

Write = Callable[[str], str]
_numbers = itertools.count()
TEXTS = [f"{'bad' if n % 2 else 'good'} word {n}" for n in range(40)]
LABELS = np.arange(40) % 2


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a module of a new name, since modules are imported once; return the name."""

    def write_module(code: str) -> str:
        name = f"own_models_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return write_module


PIPELINES = """
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

def svm():
    return make_pipeline(TfidfVectorizer(), LinearSVC(C=0.5))

def bayes():
    return make_pipeline(TfidfVectorizer(), MultinomialNB())
"""


@pytest.mark.parametrize("attribute", ["svm", "bayes"])
def test_an_estimator_is_fitted_on_texts_and_scores_them(write: Write, tmp_path: Path, attribute: str) -> None:
    name = f"{write(PIPELINES)}:{attribute}"
    spec = own_estimator(name, tmp_path)
    assert (spec.name, spec.title, spec.is_fitted) == (name, name, False)
    assert "TfidfVectorizer()" in spec.recipe
    model = spec.new_model()
    model.fit(TEXTS, LABELS)
    scores = model.decision_function(["bad word", "good word"])
    assert scores[0] > 0 > scores[1]
    with pytest.raises(TrainingError, match="its score fails.*NotFittedError"):
        spec.new_model().decision_function(["bad word"])


BROKEN = """
class NoScores:
    def fit(self, texts, y):
        return self

class Fails(NoScores):
    def fit(self, texts, y):
        raise KeyError("no such column")

    def predict_proba(self, texts):
        return [[0.5, 0.5]]

class Short(NoScores):
    def decision_function(self, texts):
        return [1.0]

one = Short()

def same():
    return one

def fails():
    return 1 / 0

number = 5
"""


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("NoScores", "it returns a value of type NoScores without fit, or without decision_function"),
        ("fails", r"calling it fails in own_models_\d+.py, line 23: ZeroDivisionError"),
        ("same", "the same estimator twice"),
        ("number", "it is of type int and cannot be called"),
        ("missing", "it cannot be imported.*has no attribute 'missing'"),
    ],
)
def test_what_is_no_unfitted_estimator_is_refused(write: Write, tmp_path: Path, attribute: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        own_estimator(f"{write(BROKEN)}:{attribute}", tmp_path)


NOT_TODAY = "x = 1\nraise ValueError('not today')\n"


def test_a_module_that_is_absent_or_fails_is_named(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no_such_module:x: it cannot be imported: ModuleNotFoundError"):
        own_estimator("no_such_module:x", tmp_path)
    with pytest.raises(ConfigurationError, match=r"imported in own_models_\d+.py, line 2: ValueError: not today"):
        own_estimator(f"{write(NOT_TODAY)}:x", tmp_path)


def test_errors_of_fit_and_scores_are_named(write: Write, tmp_path: Path) -> None:
    module = write(BROKEN)
    fails = own_estimator(f"{module}:Fails", tmp_path).new_model()
    with pytest.raises(TrainingError, match=rf"{module}:Fails: its fit fails in {module}.py, line 8: KeyError"):
        fails.fit(TEXTS, LABELS)
    with pytest.raises(TrainingError, match=r"scores of shape \(1,\) for 40 texts"):
        own_estimator(f"{module}:Short", tmp_path).new_model().decision_function(TEXTS)
