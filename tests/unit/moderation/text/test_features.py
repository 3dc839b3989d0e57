from __future__ import annotations

import numpy as np
import pytest

from moderation.scoring.pipeline import _without_empty_columns
from moderation.text import Lexicon
from moderation.text.features import CommentFeatures
from moderation.text.vocabulary import Vocabulary

Corpus = tuple[list[str], list[int]]


@pytest.mark.slow
def test_fitting_and_transforming_at_once_gives_the_same_bits(
    small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moderation.text.features.SLICE_TEXTS", 37)
    texts = [*small_corpus[0], "", "w" * 3_000, "don't don't DON'T"]
    once = CommentFeatures().use(Lexicon()).fit_transform(texts)
    twice = CommentFeatures().use(Lexicon()).fit(texts).transform(texts)
    assert once.shape == twice.shape
    for name in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(once, name), getattr(twice, name)), name


@pytest.mark.slow
def test_columns_without_entries_are_dropped_in_place(small_corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moderation.scoring.pipeline._PART", 100)
    matrix = CommentFeatures().use(Lexicon()).fit_transform(small_corpus[0])
    copied = matrix.copy()
    reduced, occurring = _without_empty_columns(matrix)
    assert np.shares_memory(reduced.data, matrix.data)
    assert np.shares_memory(reduced.indices, matrix.indices)
    expected = copied[:, np.unique(copied.indices)]
    assert occurring.tolist() == np.unique(copied.indices).tolist()
    assert np.array_equal(reduced.indices, expected.indices)
    assert np.array_equal(reduced.data, expected.data)


def test_grams_of_chosen_tokens_are_those_of_the_whole_vocabulary() -> None:
    vocabulary = Vocabulary()
    vocabulary.ids(["don't", "a", "study", "12", "idiot"])
    start, bucket, count = vocabulary.grams(0)
    chosen = np.array([4, 0, 4])
    some_start, some_bucket, some_count = vocabulary.grams_of(chosen)
    for position, token in enumerate(chosen.tolist()):
        part, whole = slice(*some_start[position : position + 2]), slice(*start[token : token + 2])
        assert np.array_equal(some_bucket[part], bucket[whole])
        assert np.array_equal(some_count[part], count[whole])
