"""Every code point, escaped in three ways, from the record's bytes to the stored and sent decision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle, islice

import orjson
import pytest

from moderation.policy import Policy
from moderation.scoring import Kernel
from stream.worker.messages import ServingModel
from tests.support.code_points import ALL, QUICK, decided, encoded, escapes, raw_ids, texts_of


@pytest.fixture(scope="module")
def model(kernel: Kernel) -> ServingModel:
    return ServingModel(kernel, Policy(1, 500_000, ()), "1")


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings_in(each)


def require_storable(codes: Iterable[int], model: ServingModel) -> int:
    """Assert that ledger and topics accept every code point; return the number of characters checked."""
    codes, characters = list(codes), 0
    ids, texts = cycle(raw_ids(codes)), texts_of(codes)
    while some := list(islice(texts, 16)):
        rows = decided(some, list(islice(ids, len(some))), model)
        for data in encoded(rows, model):
            line = data.decode()  # a lone surrogate would have no bytes
            assert "\0" not in line
            if line.startswith("{"):
                for text in strings_in(orjson.loads(data)):
                    assert "\0" not in text
            else:
                assert "\\u0000" not in line
            characters += len(line)
    return characters


def test_a_sample_of_code_points_can_be_stored_and_sent(model: ServingModel) -> None:
    assert require_storable(QUICK, model) > len(QUICK)


@pytest.mark.long
@pytest.mark.budget(600)
def test_every_code_point_can_be_stored_and_sent(model: ServingModel) -> None:
    assert require_storable(ALL, model) > len(ALL)


def test_the_texts_hold_every_escape_of_every_code_point() -> None:
    codes = range(0xD7F0, 0xE010)
    joined = " ".join(texts_of(codes))
    assert all(form in joined for form in escapes(codes))
