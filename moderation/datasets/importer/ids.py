"""Read ids, and names of authors and communities."""

from __future__ import annotations

import re
from typing import Any

_ABSENT = frozenset(("", "nan", "none", "null", "\\n"))
_HALF_OR_NUL = re.compile("[\x00\ud800-\udfff]")
_WITH_POINT = re.compile(r"-?\d+\.0+")
_WITH_EXPONENT = re.compile(r"-?\d+(\.\d+)?[eE]\+\d+")
_EXACT_FLOATS = 2**53  # from here on, floats do not represent every integer


class LostDigits(ValueError):
    """An id was a number that has lost its last digits; the text quotes it."""


def id_of(value: Any) -> str:
    """Return an id as text; empty if it is absent. A number that was written with a point, as pandas does, loses it.

    Raises:
        LostDigits: several ids would be written like this one.
    """
    text = text_of(value)
    if "." not in text and "+" not in text:
        return text
    has_point = _WITH_POINT.fullmatch(text) is not None
    if _WITH_EXPONENT.fullmatch(text) or (has_point and abs(float(text)) >= _EXACT_FLOATS):
        raise LostDigits(f"the id {text[:40]} is a number that has lost its last digits")
    return text.partition(".")[0] if has_point else text


def name_of(value: Any) -> str:
    """Return the name or number of an author as text; empty if it is absent. A number loses its point."""
    text = text_of(value)
    return text.partition(".")[0] if "." in text and _WITH_POINT.fullmatch(text) else text


def text_of(value: Any) -> str:
    """Return a cell as text without white space around it; empty if it is absent."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    text = text.strip()
    if text.casefold() in _ABSENT:
        return ""
    return text if text.isascii() and "\0" not in text else _HALF_OR_NUL.sub("\ufffd", text)


def bare_id(comment_id: str) -> str:
    """Return an id without white space and without Reddit's prefix of comments, ``t1_``."""
    return comment_id.strip().removeprefix("t1_")
