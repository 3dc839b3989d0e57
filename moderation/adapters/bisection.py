"""Find the items for which a step fails, by bisection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from moderation.adapters import error_origin

T = TypeVar("T")


def find_failing_items(items: Sequence[T], attempt: Callable[[Sequence[T]], object]) -> list[tuple[T, Exception]]:
    """Find the items for which a step fails on its own.

    Args:
        items: items for which the step failed together.
        attempt: the step; it must not have side effects. Called about ``2 · failing items · log2(items)`` times.

    Returns:
        The items in order, each with its error; empty if the step fails only for several items together.

    Raises:
        Exception: an error that an item cannot cause, see :mod:`moderation.adapters.error_origin`.
    """
    failing: list[tuple[T, Exception]] = []
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
                failing.append((part[0], error))
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
    return failing
