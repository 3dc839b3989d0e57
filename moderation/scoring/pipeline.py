"""The scikit-learn interface of the kernel: a Pipeline that predicts with the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from moderation.scoring.kernel import Kernel, LinearWeights
from moderation.text.blocks import Floats
from moderation.text.features import FEATURE_COUNT, CommentFeatures
from moderation.text.kernel_constants import GRAM_BUCKETS, WORD_BUCKETS
from moderation.text.lexicon import Lexicon

Family = Literal["logistic_regression", "nb_logistic_regression"]
"""``nb_logistic_regression`` first multiplies every word and gram feature by its naive Bayes log-count ratio (Wang and
Manning, Baselines and Bigrams, ACL 2012). The factors become part of the coefficients, so the kernel is the same."""

_PART = 1_000_000  # entries that are renumbered at a time


class ModerationPipeline(Pipeline):  # type: ignore[misc]
    """``CommentFeatures`` then ``LogisticRegression``; classes are 0 (kept) and 1 (removed).

    ``decision_function``, ``predict_proba`` and ``predict`` use :class:`Kernel`, as worker and batch
    do. Build one with :func:`new_pipeline`.
    """

    _kernel: Kernel | None
    _family: Family

    def fit(self, texts: Sequence[str], y: Any = None, **params: Any) -> Self:
        """Fit on comments' bodies and labels (1 = removed).

        The classifier is fitted on occurring features only: under L2 the coefficients of the others are 0, so the
        result is the same, and the fit is several times faster.
        """
        self._kernel = None
        features: CommentFeatures = self.named_steps["features"]
        classifier: LogisticRegression = self.named_steps["classifier"]
        matrix, occurring = _without_empty_columns(features.fit_transform(texts))
        factor = np.ones(len(occurring))
        if getattr(self, "_family", "logistic_regression") == "nb_logistic_regression":
            hashed = occurring < WORD_BUCKETS + GRAM_BUCKETS
            factor[hashed] = _log_ratio(matrix[:, hashed], np.asarray(y, bool), params.get("sample_weight"))
            matrix = matrix @ diags_array(factor, format="csr")
        classifier.fit(matrix, y, **params)
        coefficients = np.zeros((1, FEATURE_COUNT))
        coefficients[:, occurring] = classifier.coef_ * factor
        classifier.coef_ = coefficients
        classifier.n_features_in_ = FEATURE_COUNT
        return self

    def kernel(self, lexicon: Lexicon | None = None) -> Kernel:
        """Return the kernel of the fitted model, created once.

        Args:
            lexicon: shared lexicon of the process; the lexicon of the transformer if None.
        """
        if lexicon is not None:
            self.named_steps["features"].use(lexicon)
            self._kernel = None
        kernel: Kernel | None = getattr(self, "_kernel", None)
        if kernel is None:
            kernel = self._kernel = Kernel(_weights(self), self.named_steps["features"].lexicon)
        return kernel

    def calibrate(self, slope: float, offset: float) -> Self:
        """Replace the logit by slope·logit + offset, folded into the classifier's coefficients."""
        classifier: LogisticRegression = self.named_steps["classifier"]
        classifier.coef_ = slope * classifier.coef_
        classifier.intercept_ = slope * classifier.intercept_ + offset
        self._kernel = None
        return self

    def decision_function(self, texts: Sequence[str], **params: Any) -> Floats:
        """Log-odds of removal, shape (texts,)."""
        return self.kernel().logits(texts)

    def unseen_shares(self, texts: Sequence[str], fitted_on: int) -> Floats:
        """See :meth:`Kernel.unseen_shares`."""
        return self.kernel().unseen_shares(texts, fitted_on)

    def predict_proba(self, texts: Sequence[str], **params: Any) -> Floats:
        """Probabilities of kept and removed, shape (texts, 2)."""
        removed = self.kernel().probabilities(texts)
        return np.stack((1 - removed, removed), axis=1)

    def predict(self, texts: Sequence[str], **params: Any) -> Any:
        """1 if the probability of removal is above 0.5, shape (texts,)."""
        return (self.decision_function(texts) > 0).astype(np.int64)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        state.pop("_kernel", None)
        state.pop("_family", None)  # the coefficients include the family's factors
        return state


def new_pipeline(
    lexicon: Lexicon, inverse_regularisation: float = 1.0, family: Family = "logistic_regression"
) -> ModerationPipeline:
    """Create an unfitted model.

    Args:
        lexicon: shared lexicon of the process.
        inverse_regularisation: scikit-learn's ``C``; smaller means stronger regularisation.
        family: family of models.
    """
    classifier = LogisticRegression(C=inverse_regularisation, max_iter=500)
    pipeline = ModerationPipeline([("features", CommentFeatures().use(lexicon)), ("classifier", classifier)])
    pipeline._family = family
    return pipeline


def _without_empty_columns(matrix: csr_array) -> tuple[csr_array, NDArray[np.int64]]:
    """Drop the columns without entries, in place, because a copy would be the largest part of the memory of a fit.

    Returns:
        The matrix, which shares its memory with the argument; and the numbers of its columns in the argument.
    """
    parts = [slice(first, first + _PART) for first in range(0, matrix.nnz, _PART)]
    occurs = np.zeros(matrix.shape[1], bool)
    for part in parts:
        occurs[matrix.indices[part]] = True
    occurring = np.flatnonzero(occurs)
    number = (np.cumsum(occurs) - 1).astype(matrix.indices.dtype)
    for part in parts:
        matrix.indices[part] = number[matrix.indices[part]]
    shape = (matrix.shape[0], len(occurring))
    return csr_array((matrix.data, matrix.indices, matrix.indptr), shape=shape), occurring


def _log_ratio(matrix: csr_array, removed: NDArray[np.bool_], weight: Floats | None) -> Floats:
    """Per column: log of its smoothed share among removed comments over that among kept ones, shape (columns,)."""
    weights = np.ones(len(removed)) if weight is None else weight
    shares = []
    for members in (removed, ~removed):
        amount = 1.0 + matrix.T @ (weights * members)
        shares.append(amount / amount.sum())
    ratio: Floats = np.log(shares[0] / shares[1])
    return ratio


def _weights(pipeline: ModerationPipeline) -> LinearWeights:
    features: CommentFeatures = pipeline.named_steps["features"]
    classifier: LogisticRegression = pipeline.named_steps["classifier"]
    words, grams, surface = np.split(classifier.coef_[0], (WORD_BUCKETS, WORD_BUCKETS + GRAM_BUCKETS))
    return LinearWeights(
        intercept=float(classifier.intercept_[0]),
        word_idf=features.word_idf_,
        word_coef=features.word_weight * words,
        gram_idf=features.gram_idf_,
        gram_coef=features.gram_weight * grams,
        surface_mean=features.surface_mean_,
        surface_scale=features.surface_scale_,
        surface_coef=features.surface_weight * surface,
    )
