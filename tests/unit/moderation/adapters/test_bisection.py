from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.bisection import find_failing_items
from tests.support.properties import examples


@examples(quick=100, thorough=2_000)
@given(size=st.integers(0, 200), bad=st.sets(st.integers(0, 199), max_size=10))
def test_exactly_the_items_that_fail_alone_are_found_in_few_attempts(size: int, bad: set[int]) -> None:
    attempts = 0

    def attempt(items: Sequence[int]) -> None:
        nonlocal attempts
        attempts += 1
        if found := bad.intersection(items):
            raise ValueError(min(found))

    failing = sorted(bad & set(range(size)))
    found = find_failing_items(range(size), attempt)
    assert [(item, error.args) for item, error in found] == [(item, (item,)) for item in failing]
    assert attempts <= 2 + 2 * len(failing) * (1 + math.ceil(math.log2(max(size, 1))))


def test_items_that_fail_only_together_are_not_found() -> None:
    def attempt(items: Sequence[int]) -> None:
        if len(items) > 1:
            raise ValueError("together")

    assert find_failing_items(range(8), attempt) == []


def test_an_error_that_no_item_causes_is_raised() -> None:
    def attempt(items: Sequence[int]) -> None:
        raise ConnectionError("away") if len(items) < 3 else ValueError("an item's")

    with pytest.raises(ConnectionError):
        find_failing_items(range(8), attempt)
