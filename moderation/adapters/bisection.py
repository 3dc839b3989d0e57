"""Find the items that make a step fail, by halving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from moderation.adapters import error_origin

T = TypeVar("T")


def find_failing_items(items: Sequence[T], attempt: Callable[[Sequence[T]], object]) -> list[tuple[T, Exception]]:
    """Find the items for which a step fails when it gets nothing else.

    Args:
        items: what the step failed for together.
        attempt: the step; it changes nothing. Called about ``2 · failing items · log2(items)`` times.

    Returns:
        The items in order, each with the error it causes; none if the step fails for some items together only.

    Raises:
        Exception: the step failed for a reason that is not an item's, see :mod:`moderation.adapters.error_origin`.
    """
    found: list[tuple[T, Exception]] = []
    middle = len(items) // 2
    parts = [items[middle:], items[:middle]] if middle else [items]
    while parts:
        part = parts.pop()
        try:
            attempt(part)
        except Exception as error:
            if not error_origin.is_caused_by_record(error):
                raise
            if len(part) == 1:
                found.append((part[0], error))
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
    return found
