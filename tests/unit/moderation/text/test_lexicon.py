from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from moderation.text import Lexicon
from moderation.text.kernel_constants import LONG_PIECE, PUNCTUATED_PIECE, SHORT_CHUNK
from moderation.text.surface import COUNTS, FEATURES, chunk_counts
from moderation.text.tokens import ChunkTokenizer
from moderation.text.vocabulary import Vocabulary, normal_form, token_grams

reference = spacy.blank("en").tokenizer
tokenizer = ChunkTokenizer()

words = st.sampled_from(
    "don't it's I'll U.S. e.g. a.m. Dr. :) :-( ;D (hello) \"quoted\" 'tis dont wont cant im hes 10km $5 5% 3rd 1,000 "
    "http://a.example/x?y=1 www.b.example. x@y.example well-known and/or a.b c:d ... … — – 5.5.5 (1) [a] word, word. "
    "Word! WORD? x. X. AB. aB. ain't y'all o'clock #tag @name <b> &c 'em can't've ):".split()
)
chunks = st.one_of(
    words,
    st.builds("".join, st.lists(words, min_size=1, max_size=3)),
    st.text("abAB.,;:!?'\"()-1$/ é😀", min_size=1, max_size=12),
    st.text(min_size=1, max_size=12),
).map(lambda text: "".join(text.split()) or "x")


def alone(chunk: str) -> list[str]:
    return [token.text for token in reference(chunk)]


@given(st.lists(chunks.filter(lambda chunk: len(chunk) <= SHORT_CHUNK), min_size=1, max_size=30))
def test_tokens_of_chunks_are_spacys_whatever_their_neighbours(batch: list[str]) -> None:
    assert tokenizer.tokenize(batch) == [alone(chunk) for chunk in batch]


def test_long_chunks_are_cut_and_nothing_of_them_is_lost() -> None:
    for chunk in ("a" * 5_000, "(" * 5_000, "a.b/" * 500, "(" * 40 + "a" * 200, "9" * 1_025):
        (tokens,) = tokenizer.tokenize([chunk])
        assert "".join(tokens) == chunk
        assert max(map(len, tokens)) <= LONG_PIECE
    (tokens,) = tokenizer.tokenize(["-" * 100])
    assert max(map(len, tokens)) <= PUNCTUATED_PIECE


def test_normal_forms_are_lower_case_lemmas_and_markers() -> None:
    forms = {
        "Studies": "study",
        "running": "run",
        "You": "<pronoun>",
        "themselves": "<pronoun>",
        "http://a.example/b": "<url>",
        "www.a.example": "<url>",
        "1,000.5": "<number>",
        "seventeen": "<number>",
        "3/4": "<number>",
        "Zorbtastic": "zorbtastic",
        "!": "!",
    }
    assert {token: normal_form(token) for token in forms} == forms


def test_grams_are_of_the_token_between_spaces_and_do_not_cross_tokens() -> None:
    start, bucket, count = token_grams(["ab", "b"])
    # " ab ": " a" "ab" "b " " ab" "ab " " ab " and " b ": " b" "b " " b "
    assert np.diff(start).tolist() == [6, 3]
    assert count.tolist() == [1] * 9
    shared = set(bucket[:6].tolist()) & set(bucket[6:].tolist())
    assert len(shared) == 1  # "b "
    start, _, count = token_grams(["aaaa"])
    assert int(count.sum()) == 5 + 4 + 3 + 2
    assert int(count.max()) == 3  # "aa"


def test_a_vocabulary_numbers_tokens_once_and_keeps_their_features() -> None:
    vocabulary = Vocabulary()
    assert vocabulary.ids(["a", "b", "a"]) == [0, 1, 0]
    assert vocabulary.ids(["c", "b"]) == [2, 1]
    assert vocabulary.tokens == ["a", "b", "c"]
    whole = Vocabulary()
    whole.ids(["a", "b", "c"])
    np.testing.assert_array_equal(vocabulary.word_hash, whole.word_hash)
    for ours, theirs in zip(vocabulary.grams(1), whole.grams(1), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_surface_counts() -> None:
    counts = dict(zip(COUNTS, chunk_counts('YOU!"2a?,', ["YOU", "!", '"', "2a", "?", ","]), strict=True))
    assert counts == {
        "characters": 9,
        "tokens": 6,
        "upper": 3,
        "digits": 1,
        "symbols": 4,
        "exclamations": 1,
        "questions": 1,
        "quotes": 1,
        "commas": 1,
        "periods": 0,
        "urls": 0,
        "shouts": 1,
        "first_person": 0,
        "second_person": 1,
    }


def test_encoding_an_empty_batch_and_empty_texts() -> None:
    lexicon = Lexicon()
    assert lexicon.encode([]).texts == 0
    encoded = lexicon.encode(["", " \n\t ", "word"])
    assert encoded.surface.shape == (3, len(FEATURES))
    assert encoded.text.tolist() == [2]


def test_memory_is_bounded_and_eviction_changes_no_encoding() -> None:
    lexicon = Lexicon(max_chunks=1_000)
    text = "Common words stay, rare ones go."
    before = lexicon.encode([text])
    for batch in range(60):
        lexicon.encode([text, " ".join(f"rare{batch}x{n}" for n in range(100))])
        assert len(lexicon) <= 1_000 + 100 + 6
    after = lexicon.encode([text])
    names = after.vocabulary.tokens
    assert [names[n] for n in after.token] == [before.vocabulary.tokens[n] for n in before.token]
    np.testing.assert_array_equal(after.surface, before.surface)
    assert len(lexicon.vocabulary) < 1_500


@pytest.mark.slow
def test_cached_encodings_after_eviction_equal_new_ones() -> None:
    lexicon = Lexicon(max_chunks=300)
    texts = [" ".join(f"word{n},x{m} don't (n{n})" for m in range(3)) for n in range(120)]
    for number, text in enumerate(texts):
        lexicon.encode([text])
        if number % 10 != 9:  # a new lexicon takes a tenth of a second
            continue
        fresh = Lexicon()
        ours, theirs = lexicon.encode([text, texts[0]]), fresh.encode([text, texts[0]])
        np.testing.assert_array_equal(ours.surface, theirs.surface)
        np.testing.assert_array_equal(ours.text, theirs.text)
        assert [ours.vocabulary.tokens[n] for n in ours.token] == [theirs.vocabulary.tokens[n] for n in theirs.token]
        np.testing.assert_array_equal(ours.vocabulary.word_hash[ours.token], theirs.vocabulary.word_hash[theirs.token])
        for token, other in zip(ours.token, theirs.token, strict=True):
            for mine, other_s in zip(_grams(ours.vocabulary, token), _grams(theirs.vocabulary, other), strict=True):
                np.testing.assert_array_equal(mine, other_s)
    assert len(lexicon) <= 330
    assert lexicon.misses == 120 * 6 + 3  # recently used chunks were copied, not tokenized again


def _grams(vocabulary: Vocabulary, number: int) -> tuple[np.ndarray, np.ndarray]:
    start, bucket, count = vocabulary.grams(number)
    return bucket[: start[1]], count[: start[1]]


@pytest.mark.slow
def test_long_chunks_count_as_many() -> None:
    lexicon = Lexicon(max_chunks=1_000)
    for batch in range(100):
        lexicon.encode([f"{batch}" + "x" * 39_000])
        assert len(lexicon) <= 3


def test_used_chunks_survive_unused_ones() -> None:
    lexicon = Lexicon(max_chunks=1_000)
    for batch in range(30):
        lexicon.encode(["kept always", " ".join(f"rare{batch}x{n}" for n in range(100))])
    assert {"kept", "always"} <= set(lexicon.vocabulary.tokens)


def test_lone_surrogates_are_read_as_replacement_characters() -> None:
    assert Lexicon().tokens_of("a\ud800b") == Lexicon().tokens_of("a\ufffd\ufffd\ufffdb")
