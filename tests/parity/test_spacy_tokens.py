"""The chunk tokenizer splits any chunk like spaCy's tokenizer."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import pytest
import spacy
from spacy.lang.tokenizer_exceptions import URL_MATCH, URL_PATTERN

from moderation.text.affixes import blank_english, prefix_search, suffix_search, url_match
from moderation.text.kernel_constants import SHORT_CHUNK
from moderation.text.tokens import ChunkTokenizer
from tests.support.chunks import random_chunks

_AT_ONCE = 1_000


@pytest.fixture(scope="module")
def reference() -> Any:
    return spacy.blank("en").tokenizer


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.budget(400)])])
def test_tokens_of_random_chunks_are_spacys(reference: Any, count: int) -> None:
    chunks = random_chunks(18, list(reference.rules), SHORT_CHUNK)
    tokenizer = ChunkTokenizer()
    differing = []
    for _ in range(count // _AT_ONCE):
        batch = list(islice(chunks, _AT_ONCE))
        for chunk, tokens in zip(batch, tokenizer.tokenize(batch), strict=True):
            if tokens != [token.text for token in reference(chunk)]:
                differing.append(chunk)
    assert differing == []


def test_affixes_of_random_chunks_are_spacys(reference: Any) -> None:
    # Longer chunks too: they are cut before they are tokenized, so tokens alone would not show a difference.
    defaults = spacy.blank("en").Defaults
    pairs = [
        (prefix_search(defaults.prefixes or ()), reference.prefix_search),
        (suffix_search(defaults.suffixes or ()), reference.suffix_search),
    ]

    def length(match: Any) -> int:
        return 0 if match is None else match.end() - match.start()

    for chunk in islice(random_chunks(19, list(reference.rules), 200), 1_000):
        for start in range(min(4, len(chunk))):
            for linear, spacys in pairs:
                for part in (chunk[start:], chunk[: len(chunk) - start]):
                    assert length(linear(part)) == length(spacys(part)), part


def test_urls_of_random_chunks_are_spacys(reference: Any) -> None:
    linear, found = url_match(URL_PATTERN), 0
    urls = ("http://a.example/x", "me@a.example", "a:b@c.d@e.example:80/?", "8.8.8.8", "10.0.0.1", "x://y.z.example#")
    for chunk in [*urls, *islice(random_chunks(20, urls, SHORT_CHUNK), 5_000)]:
        assert bool(linear(chunk)) == bool(URL_MATCH(chunk)), chunk
        found += bool(linear(chunk))
    assert found > 200


def test_an_unknown_url_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="URL pattern begins with"):
        url_match("^https?://")


@pytest.mark.parametrize("unit", ["a:b@", "aa.a@", "a@a.", "://a:@", "1.2@:", "a.", "!", "a!"])
def test_urls_are_matched_in_time_linear_in_the_length(unit: str) -> None:
    match = url_match(URL_PATTERN)

    def seconds(characters: int) -> float:
        text = unit * (characters // len(unit))
        times = []
        for _ in range(3):
            began = time.process_time()
            for _ in range(160_000 // characters):
                match(text)
            times.append(time.process_time() - began)
        return min(times)

    # The same number of characters; with a quadratic search the long chunks take 32 times as long.
    assert seconds(32_000) < 8 * seconds(1_000) + 0.01


def test_affixes_are_searched_at_the_ends_only() -> None:
    rules: Any = blank_english().tokenizer

    def seconds(text: str) -> float:
        began = time.process_time()
        for _ in range(2_000):
            rules.prefix_search(text)
            rules.suffix_search(text)
        return time.process_time() - began

    for unit in ("a", "a!b", "a.", "1km"):
        assert seconds(unit * 10_000) < 10 * seconds(unit * 10) + 0.01, unit
