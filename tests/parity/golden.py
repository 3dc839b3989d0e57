"""Scores of the golden texts, with weights that need no training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from moderation.scoring import Kernel, LinearWeights
from moderation.scoring.golden import GOLDEN_TEXTS
from moderation.text import Lexicon
from moderation.text.blocks import token_buckets
from moderation.text.kernel_constants import GRAM_BUCKETS, WORD_BUCKETS
from moderation.text.surface import FEATURES

GOLDEN_FILE = Path(__file__).parent / "golden_kernel.json"


def golden_rows() -> list[dict[str, object]]:
    """Compute the scores of the golden texts with weights that need no training."""

    def spread(size: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return ((np.arange(size, dtype=np.int64) * 7_919) % 2_003 - 1_001) / 1_001

    weights = LinearWeights(
        intercept=-0.25,
        word_idf=1 + abs(spread(WORD_BUCKETS)),
        word_coef=3 * spread(WORD_BUCKETS),
        gram_idf=1 + abs(spread(GRAM_BUCKETS)),
        gram_coef=2 * spread(GRAM_BUCKETS),
        surface_mean=spread(len(FEATURES)),
        surface_scale=1 + abs(spread(len(FEATURES))),
        surface_coef=0.1 * spread(len(FEATURES)),
    )
    lexicon = Lexicon()
    kernel = Kernel(weights, lexicon)
    rows: list[dict[str, object]] = []
    for text in GOLDEN_TEXTS:
        encoded = lexicon.encode([text])
        rows.append(
            {
                "text": text,
                "tokens": [encoded.vocabulary.tokens[number] for number in encoded.token],
                "word_buckets": token_buckets(encoded).tolist(),
                "score_ppm": kernel.score_one(text),
            }
        )
    return rows
