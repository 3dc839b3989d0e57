"""Read labels: words, numbers, and a threshold for scores."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

REMOVED_WORDS = frozenset(
    "1 1.0 true t yes y removed remove rejected reject spam toxic deleted hidden blocked bad abusive".split()
)
KEPT_WORDS = frozenset(
    "0 0.0 false f no n approved approve accepted kept keep ham ok okay allowed allow good clean published "
    "not_removed non-toxic not_toxic not_spam".split()
)
_EMPTY = frozenset(("", "nan", "none", "null", "n/a", "na", "-1", "-1.0"))
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_RULE = re.compile(r"(?P<column>.+?)\s*(?P<test>>=|<=|>|<|==|=)\s*(?P<value>.+)", re.DOTALL)


class UnknownLabel(ValueError):
    """A value that is neither removed nor kept; the text quotes it."""


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Which values of a column mean that a moderator removed the comment.

    Attributes:
        column: name of the column, or ``#`` and its number from 1.
        test: ``words``: the usual words and 0/1; ``=``: one of ``values``; else a comparison with ``threshold``.
        threshold: number that a comparison uses; 0 without one.
        values: words that mean removed, in lower case, for ``=``; every other word means kept.
    """

    column: str
    test: str = "words"
    threshold: float = 0.0
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the rule as ``--columns label=…`` accepts it."""
        if self.test == "words":
            return self.column
        if self.test == "=":
            return f"{self.column}={'|'.join(self.values)}"
        return f"{self.column}{self.test}{self.threshold:g}"

    def label(self, value: object) -> bool | None:
        """Return whether a value means removed; None if the cell is empty.

        Raises:
            UnknownLabel: the value is not a word of the rule, or not a number where one is compared.
        """
        if value is None or value is True or value is False:
            return value
        text = str(value).strip().casefold()
        if self.test == "=":
            return text in self.values if text else None
        if text in _EMPTY:
            return None
        if self.test == "words":
            if text in REMOVED_WORDS:
                return True
            if text in KEPT_WORDS:
                return False
            raise UnknownLabel(f"label {str(value)[:40]!r} is neither removed nor kept")
        try:
            number = float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
        except ValueError as error:
            raise UnknownLabel(f"label {str(value)[:40]!r} is not a number") from error
        if math.isnan(number):
            return None
        return _COMPARISONS[self.test](number, self.threshold)


def parse_label(text: str) -> LabelRule:
    """Parse ``column``, ``column>=0.5`` or ``column=word|word``.

    Raises:
        ValueError: the threshold is not a number.
    """
    found = _RULE.fullmatch(text)
    if found is None:
        return LabelRule(text)
    column, test, value = found["column"], found["test"], found["value"].strip()
    if test in ("=", "=="):
        words = tuple(word.strip().casefold() for word in value.split("|"))
        return LabelRule(column, "=", values=words)
    return LabelRule(column, test, float(value))
