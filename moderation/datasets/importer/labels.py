"""Read labels: words, numbers, thresholds for scores, and rules over several columns."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

REMOVED_WORDS = frozenset(
    "1 true t yes y removed remove rejected reject spam toxic deleted hidden blocked bad abusive".split()
)
KEPT_WORDS = frozenset(
    "0 false f no n approved approve accepted kept keep ham ok okay allowed allow good clean published "
    "not_removed non-toxic not_toxic not_spam".split()
)
NOT_APPROVED = ("0", "false", "f", "no", "n", "removed", "rejected")
"""Words that mean removed in a column such as ``approved``."""
_APPROVED = frozenset("1 true t yes y approved accepted kept ok".split())
_EMPTY = frozenset(("", "nan", "none", "null", "n/a", "na", "\\n"))
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
"""Tests that compare a number with a threshold."""
_RULE = re.compile(r'(?P<column>[^"].*?)\s*(?P<test>>=|<=|>|<|==|=)\s*(?P<value>.+)', re.DOTALL)
_PARTS = re.compile(r'(?:[^|"]|"[^"]*")*')
_NEEDS_QUOTES = re.compile(r"[|,<>=]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")
_GROUPED = {
    # Groups of three digits, with a decimal mark after them or not.
    ".": re.compile(r"[+-]?\d{1,3}(,\d{3}){2,}|[+-]?\d{1,3}(,\d{3})+\.\d+"),
    ",": re.compile(r"[+-]?\d{1,3}(\.\d{3}){2,}|[+-]?\d{1,3}(\.\d{3})+,\d+"),
}
_SPACES = re.compile(r"(?<=\d)[ \u00a0\u202f'’](?=\d{3})")


class UnknownLabel(ValueError):
    """A value that is neither removed nor kept; the text quotes it."""


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Which values of a column mean that a moderator removed the comment.

    Attributes:
        column: name of the column, or ``#`` and its number from 1.
        test: ``words``: the usual words and 0/1; ``=``: one of ``values``; else a comparison with ``threshold``.
        threshold: number that a comparison uses; 0 without one.
        values: words that mean removed, see :func:`word`, for ``=``; every other word means kept.
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
            return f"{self.column}={'|'.join(map(_quoted, self.values))}"
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
        if self.test == "=":
            return self._is_one_of(value)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, list | dict):
            raise UnknownLabel(f"the label is a {type(value).__name__}, {str(value)[:40]!r}")
        text = word(value)
        if text in _EMPTY or (text == "-1" and self._has_no_minus_one):
            return None
        if self.test == "words":
            if text in REMOVED_WORDS:
                return True
            if text in KEPT_WORDS:
                return False
            raise UnknownLabel(f"label {str(value)[:40]!r} is neither removed nor kept")
        number = _number(text)
        return None if math.isnan(number) else COMPARISONS[self.test](number, self.threshold)

    @property
    def _has_no_minus_one(self) -> bool:
        """Whether -1 stands for no label, as in data sets with scores from 0 to 1; elsewhere it is a number."""
        return self.test == "words" or (self.test in (">=", ">") and self.threshold > 0)

    def _is_one_of(self, value: object) -> bool | None:
        if isinstance(value, dict):
            raise UnknownLabel(f"the label is a dict, {str(value)[:40]!r}")
        if isinstance(value, list):
            return any(word(each) in self.values for each in value)
        text = word(value)
        if text in self.values:
            return True
        if text in _EMPTY:
            return None
        if self.values == NOT_APPROVED and text not in _APPROVED:
            raise UnknownLabel(f"label {str(value)[:40]!r} is neither approved nor not")
        return False


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
    Double quotes protect words with separators: ``state="spam, ads"|"a|b"``.

    Raises:
        ValueError: a threshold is not a number.
    """
    rules: list[LabelRule] = []
    for part in _split(text):
        if rules and rules[-1].test == "=" and _RULE.fullmatch(part.strip()) is None:
            rules[-1] = replace(rules[-1], values=(*rules[-1].values, word(_unquoted(part))))
        else:
            rules.append(_parse_rule(part.strip()))
    return rules[0] if len(rules) == 1 else AnyLabel(tuple(rules))


def _parse_rule(text: str) -> LabelRule:
    parsed = _RULE.fullmatch(text)
    if parsed is None:
        if not text:
            raise ValueError("a column is missing beside |")
        return LabelRule(_unquoted(text))
    column, test, value = parsed["column"], parsed["test"], parsed["value"].strip()
    if test in ("=", "=="):
        return LabelRule(column, "=", values=(word(_unquoted(value)),))
    if math.isnan(threshold := float(value)):
        raise ValueError(f"{value} is not a number")
    return LabelRule(column, test, threshold)


def word(value: object) -> str:
    """Return the form in which labels are compared: lower case, numbers without zeros after the point."""
    text = str(value).strip().casefold()
    if text and text[-1] in "0." and "." in text and _NUMBER.fullmatch(text) and "e" not in text:
        text = text.rstrip("0").rstrip(".") or "0"
    return text


def _number(text: str) -> float:
    """Return the number that a text shows.

    Raises:
        UnknownLabel: it is not a number, or ``1,234``, which is two numbers.
    """
    with suppress(ValueError):
        return float(text)
    plain = _SPACES.sub("", text)
    if _GROUPED["."].fullmatch(plain):
        plain = plain.replace(",", "")
    elif _GROUPED[","].fullmatch(plain):
        plain = plain.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", plain):
        raise UnknownLabel(f"label {text[:40]!r} is ambiguous: a comma before thousands or before decimals")
    elif plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        return float(plain)
    except ValueError as error:
        raise UnknownLabel(f"label {text[:40]!r} is not a number") from error


def _split(text: str) -> list[str]:
    """Split at ``|`` outside double quotes."""
    parts, at = [], 0
    while True:
        found = _PARTS.match(text, at)
        end = found.end() if found else at
        if end < len(text) and text[end] == '"':  # not closed
            raise ValueError("a double quote is not closed")
        parts.append(text[at:end])
        if end >= len(text):
            return parts
        at = end + 1


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1] else text


def _quoted(text: str) -> str:
    return f'"{text}"' if _NEEDS_QUOTES.search(text) else text
