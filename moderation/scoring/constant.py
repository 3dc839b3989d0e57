"""A model that gives every text the same score: it decides before there are labels to train on."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from moderation.scoring.pipeline import ModerationPipeline
from moderation.text.features import FEATURE_COUNT, CommentFeatures
from moderation.text.kernel_constants import GRAM_BUCKETS, KERNEL_VERSION, WORD_BUCKETS
from moderation.text.lexicon import Lexicon
from moderation.text.surface import FEATURES

CONSTANT_FAMILY = "constant"
"""Family in the card of such a model. No training can choose it."""
CONSTANT_PPM = 500_000
"""The score of every text: the model's logit is 0, so it has no opinion."""


def constant_pipeline(lexicon: Lexicon) -> ModerationPipeline:
    """Create a model that scores every text with ``CONSTANT_PPM``.

    It is a fitted pipeline whose coefficients and intercept are 0. Its document frequencies are those of no text, so
    every word counts as unseen.

    Args:
        lexicon: shared lexicon of the process.
    """
    features = CommentFeatures().use(lexicon)
    features.word_idf_ = np.ones(WORD_BUCKETS)  # log((1 + 0) / (1 + 0)) + 1
    features.gram_idf_ = np.ones(GRAM_BUCKETS)
    features.surface_mean_ = np.zeros(len(FEATURES))
    features.surface_scale_ = np.ones(len(FEATURES))
    features.kernel_version_ = KERNEL_VERSION
    classifier = LogisticRegression()
    classifier.classes_ = np.array([0, 1])
    classifier.coef_ = np.zeros((1, FEATURE_COUNT))
    classifier.intercept_ = np.zeros(1)
    classifier.n_features_in_ = FEATURE_COUNT
    return ModerationPipeline([("features", features), ("classifier", classifier)])
