"""Read labels: words, numbers, thresholds for scores, and rules over several columns."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
        short = f"{self.threshold:g}"
        return f"{self.column}{self.test}{short if float(short) == self.threshold else repr(self.threshold)}"

    @property
    def rules(self) -> tuple[LabelRule, ...]:
        """The rule itself, as the only one."""
        return (self,)

    def of(self, values: Sequence[object]) -> bool | None:
        """Return the label of the one cell in ``values``, see :meth:`label`."""
        return self.label(values[0])

    def label(self, value: object) -> bool | None:
        """Return whether a value means removed; None if the cell is empty.

        Raises:
            UnknownLabel: the value is not a word of the rule, or not a number where one is compared.
        """
        if value is None or value is True or value is False:
            return value
        text = str(value).strip().casefold()
        if self.test == "=":
            return True if text in self.values else None if text in ("", "nan") else False
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


@dataclass(frozen=True, slots=True)
class AnyLabel:
    """Several columns: the comment was removed if one of the rules says so.

    Attributes:
        rules: at least two rules, each of one column.
    """

    rules: tuple[LabelRule, ...]

    def __str__(self) -> str:
        """Return the rules as ``--columns label=…`` accepts them."""
        return "|".join(map(str, self.rules))

    @property
    def column(self) -> str:
        """Column of the first rule."""
        return self.rules[0].column

    def of(self, values: Sequence[object]) -> bool | None:
        """Return whether one of the cells means removed; None if none does and one is empty, as OR in SQL.

        Args:
            values: cells in the order of the rules.

        Raises:
            UnknownLabel: no cell means removed, and one is not a word of its rule, or not a number.
        """
        labels: list[bool | None] = []
        unknown: UnknownLabel | None = None
        for rule, value in zip(self.rules, values, strict=True):
            try:
                labels.append(rule.label(value))
            except UnknownLabel as error:
                unknown = unknown or error
        if True in labels:
            return True
        if unknown is not None:
            raise unknown
        return None if None in labels else False


def parse_label(text: str) -> LabelRule | AnyLabel:
    """Parse ``column``, ``column>=0.5``, ``column=word|word``, or several of them separated by ``|``.

    A part without a comparison is a word if a part ``column=word`` precedes it, else a column with the usual words.

    Raises:
        ValueError: a threshold is not a number.
    """
    rules: list[LabelRule] = []
    for part in text.split("|"):
        if rules and rules[-1].test == "=" and _RULE.fullmatch(part) is None:
            rules[-1] = replace(rules[-1], values=(*rules[-1].values, part.strip().casefold()))
        else:
            rules.append(_parse_rule(part.strip()))
    return rules[0] if len(rules) == 1 else AnyLabel(tuple(rules))


def _parse_rule(text: str) -> LabelRule:
    parsed = _RULE.fullmatch(text)
    if parsed is None:
        if not text:
            raise ValueError("a column is missing beside |")
        return LabelRule(text)
    column, test, value = parsed["column"], parsed["test"], parsed["value"].strip()
    if test in ("=", "=="):
        return LabelRule(column, "=", values=(value.casefold(),))
    if math.isnan(threshold := float(value)):
        raise ValueError(f"{value} is not a number")
    return LabelRule(column, test, threshold)
