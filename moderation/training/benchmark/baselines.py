"""Baseline models of the talk's comparison, from the body of a comment to the log-odds of removal.

All have the same features as in the talk: TF-IDF of the 1-grams and 2-grams of normal forms, the lower-case lemmas of
spaCy's tokens. Two of them need few dense columns and use the leading components of that matrix (latent semantic
analysis, Deerwester et al. 1990). Settings are scikit-learn's defaults except where stated; none was tuned on the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from moderation.errors import TrainingError
from moderation.text import Lexicon
from moderation.text.features import slices
from moderation.text.vocabulary import normal_form
from moderation.training.metrics import Floats
from moderation.training.seen_texts import SeenTexts

LEAST_COMMENTS = 2
"""Minimum number of comments that contain a word of the vocabulary."""
COMPONENTS = 100
NEIGHBOURS = 50
TREES = 300
# If all trees or neighbours agree, the log-odds would be infinite.
_LARGEST_LOG_ODDS = float(np.log(999))

_normal_form = lru_cache(maxsize=500_000)(normal_form)


class Model(Protocol):
    """Interface of a compared model, e.g. ``scoring.ModerationPipeline``."""

    def fit(self, texts: Sequence[str], y: NDArray[np.int64]) -> Any:
        """Fit on bodies and labels (1 = removed)."""

    def decision_function(self, texts: Sequence[str]) -> Floats:
        """Log-odds of removal, or another number that increases with it, shape (texts,)."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model of a comparison.

    Attributes:
        name: identifier.
        title: name for display.
        recipe: its steps and settings, in one line.
        new_model: creates an unfitted model; returns the fitted one if it is fitted already.
        is_fitted: whether it is fitted already: it is not fitted on the folds, and its scores are not calibrated.
        seen: texts that a fitted model was trained on; None if they are unknown or there are none.
    """

    name: str
    title: str
    recipe: str
    new_model: Callable[[], Model]
    is_fitted: bool = False
    seen: SeenTexts | None = None


class WordModel:
    """TF-IDF of normal forms, then a classifier of scikit-learn.

    Args:
        lexicon: token cache.
        new_classifier: creates an unfitted classifier for a number of rows and columns.
    """

    def __init__(self, lexicon: Lexicon, new_classifier: Callable[[int, int], Any]) -> None:
        self._lexicon = lexicon
        self._new_classifier = new_classifier
        self._tfidf = TfidfVectorizer(analyzer=one_and_two_grams, min_df=LEAST_COMMENTS, sublinear_tf=True)

    def fit(self, texts: Sequence[str], y: NDArray[np.int64]) -> Self:
        """Fit on bodies and labels.

        Raises:
            TrainingError: no word occurs in two of the comments.
        """
        try:
            matrix = self._tfidf.fit_transform(normal_forms(self._lexicon, texts))
        except ValueError as error:  # scikit-learn's error for an empty vocabulary
            raise TrainingError(
                "examples", f"no word occurs in {LEAST_COMMENTS} of the comments", "Give comments with words."
            ) from error
        self._classifier = self._new_classifier(*matrix.shape).fit(matrix, y)
        return self

    def decision_function(self, texts: Sequence[str]) -> Floats:
        """Log-odds of removal, within ±6.9 if the classifier has probabilities only, shape (texts,)."""
        return log_odds(self._classifier, self._tfidf.transform(normal_forms(self._lexicon, texts)))


def log_odds(classifier: Any, rows: Any) -> Floats:
    """Return the log-odds of removal of a fitted classifier of two classes, shape (rows,).

    Args:
        classifier: has ``decision_function``, or only ``predict_proba``: then they are within ±6.9.
        rows: what it was fitted on.
    """
    if hasattr(classifier, "decision_function"):
        return np.asarray(classifier.decision_function(rows), np.float64)
    with np.errstate(divide="ignore"):
        kept, removed = np.log(classifier.predict_proba(rows)).T
    return np.asarray(np.clip(removed - kept, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS))


def usual_baselines(lexicon: Lexicon, seed: int) -> list[ModelSpec]:
    """The seven models of the talk; LDA is linear discriminant analysis, SGD a linear model fitted by gradient descent.

    Args:
        lexicon: token cache, shared by all models.
        seed: seed of models that use random numbers.
    """

    def dense(rows: int, columns: int, classifier: Any) -> Any:
        components = min(COMPONENTS, rows - 1, columns)
        return make_pipeline(TruncatedSVD(components, random_state=seed), classifier)

    classifiers: dict[str, tuple[str, Callable[[int, int], Any]]] = {
        "logistic_regression": ("logistic regression", lambda rows, columns: LogisticRegression(max_iter=500)),
        "lda": (
            "LDA",
            lambda rows, columns: dense(rows, columns, LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")),
        ),
        "knn": (
            "k-nearest neighbours",
            # For unit vectors the nearest have the smallest angle.
            lambda rows, columns: KNeighborsClassifier(min(NEIGHBOURS, rows), weights="distance", algorithm="brute"),
        ),
        "naive_bayes": ("naive Bayes", lambda rows, columns: MultinomialNB(alpha=0.1)),
        "sgd": (
            "SGD",
            lambda rows, columns: SGDClassifier(loss="log_loss", random_state=seed),
        ),
        "random_forest": (
            "random forest",
            # One thread: with several, the order of summing trees varies.
            lambda rows, columns: RandomForestClassifier(TREES, min_samples_leaf=2, n_jobs=1, random_state=seed),
        ),
        "gradient_boosting": (
            "gradient boosting",
            lambda rows, columns: dense(rows, columns, HistGradientBoostingClassifier(random_state=seed)),
        ),
    }
    return [
        ModelSpec(name, title, _recipe(new_classifier), lambda new=new_classifier: WordModel(lexicon, new))  # type: ignore[misc]
        for name, (title, new_classifier) in classifiers.items()
    ]


def normal_forms(lexicon: Lexicon, texts: Sequence[str]) -> list[list[str]]:
    """Return the normal forms of the tokens of each text, in order."""
    words: list[list[str]] = []
    for part in slices(texts):
        with lexicon.lock:
            encoded = lexicon.encode(part)
            tokens = encoded.vocabulary.tokens
            forms = [_normal_form(tokens[number]) for number in encoded.token.tolist()]
        ends = np.searchsorted(encoded.text, np.arange(len(part) + 1)).tolist()
        words += [forms[start:end] for start, end in pairwise(ends)]
    return words


def one_and_two_grams(words: Sequence[str]) -> list[str]:
    """Return the words and all pairs of neighbours."""
    return [*words, *(f"{left} {right}" for left, right in pairwise(words))]


def _recipe(new_classifier: Callable[[int, int], Any]) -> str:
    """The representation of the classifier for a large matrix."""
    classifier = new_classifier(1_000_000, 1_000_000)
    steps = [step for _, step in classifier.steps] if hasattr(classifier, "steps") else [classifier]
    return " → ".join(["TF-IDF of 1- and 2-grams of normal forms", *(" ".join(repr(step).split()) for step in steps)])
