"""Guess the delimiter and the quoting of CSV text from its beginning."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from moderation.datasets.importer.csv_rows import Dialect, Record, csv_records
from moderation.datasets.importer.mapping import ALIASES, normal

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""Names of delimiters for ``--delimiter``, which also accepts the characters."""
_SEP_LINE = re.compile(r"\ufeff?sep=(.)\r?\n", re.IGNORECASE)
_SAMPLED = 100
_MOST_LINES_BEFORE_HEADER = 20
_TEXTS = frozenset(ALIASES["body"])
_KNOWN = frozenset(alias for aliases in ALIASES.values() for alias in aliases)


def delimiter_line(text: str) -> str | None:
    """Return the delimiter that Excel's first line ``sep=;`` states; None without such a line."""
    found = _SEP_LINE.match(text)
    return found[1] if found else None


def guess_dialect(text: str, delimiter: str | None = None, quote: str | None = None, has_quote: bool = True) -> Dialect:
    """Guess the dialect of CSV text.

    Args:
        text: beginning of the file, decoded; may end inside a record.
        delimiter: stated delimiter; None guesses.
        quote: stated quotation mark; None guesses, see ``has_quote``.
        has_quote: False states that quotation marks are text.
    """
    if has_quote and quote is None:
        quote = "'" if _is_single_quoted(text) else '"'
    candidates = [delimiter] if delimiter is not None else [delimiter_line(text) or "", *DELIMITERS.values()]

    def best(has_escapes: bool) -> Dialect:
        dialects = [Dialect(each, quote if has_quote else None, has_escapes) for each in candidates if each]
        found = max(dialects, key=lambda dialect: _score(text, dialect))
        return replace(found, skips_spaces=_has_spaces(text, found))

    doubled = best(has_escapes=False)
    if quote is None or not has_quote or "\\" + quote not in text:
        return doubled
    escaped = best(has_escapes=True)
    return escaped if _fit(text, escaped) > _fit(text, doubled) else doubled


def lines_before_header(text: str, delimiter: str | None = None) -> int:
    """Return how many lines precede the header of CSV text: titles and comments, if the first line has no known column.

    Args:
        text: beginning of the file, decoded.
        delimiter: stated delimiter, or None.
    """
    is_titled, least = False, 2
    delimiters = (delimiter,) if delimiter is not None else tuple(DELIMITERS.values())
    for number, line in enumerate(islice(io.StringIO(text, newline=""), _MOST_LINES_BEFORE_HEADER + 1)):
        names = [{normal(name.strip("\"'\ufeff \r\n")) for name in line.split(each)} for each in delimiters]
        most = max((each & _KNOWN for each in names), key=len)
        if number == 0:
            if most:
                return 0
            # A first line with several fields may be a header whose names are not known.
            least = 3 if any(len(each) > 1 for each in names) else 2
        if len(most) >= least and most & _TEXTS:
            return number if is_titled else 0
        is_titled = is_titled or bool(line.strip())
    return 0


def names_text(line: str) -> bool:
    """Whether a line is the header of CSV text with a column that is known to contain the text of comments."""
    return any(
        normal(name.strip("\"'\ufeff \r\n")) in _TEXTS for each in DELIMITERS.values() for name in line.split(each)
    )


def sampled(text: str, dialect: Dialect, width: int | None = None) -> Iterator[Record]:
    """Yield the first records of a text; the last, which may be incomplete, is left out unless it is the only one."""
    records = csv_records(enumerate(_complete_lines(text), start=1), dialect, width)
    count = 0
    for record in records:
        if isinstance(record, Record):
            yield record
            count += 1
            if count >= _SAMPLED:
                return


def _score(text: str, dialect: Dialect) -> tuple[int, float, int]:
    """Return how well a dialect explains a text: known columns in the header, share of rows of one width, the width."""
    records = list(sampled(_without_delimiter_line(text), dialect))
    if not records or len(records[0].fields) < 2:
        return 0, 0.0, 1
    header = records[0].fields
    known = sum(normal(name) in _KNOWN for name in header)
    widths = Counter(len(record.fields) for record in records)
    return known, widths[len(header)] / len(records), len(header)


def _fit(text: str, dialect: Dialect) -> int:
    """Return how many of the first records are well-formed, less those that cannot be read."""
    complete = _complete_lines(_without_delimiter_line(text))
    header = next(csv_records(enumerate(complete, start=1), dialect, None), None)
    if not isinstance(header, Record):
        return 0
    records = islice(csv_records(enumerate(complete, start=1), dialect, len(header.fields)), _SAMPLED)
    return sum(not each.is_repaired if isinstance(each, Record) else -1 for each in records)


def _complete_lines(text: str) -> list[str]:
    """Return the lines of a text without the last, which may be incomplete, unless it is the only one."""
    lines = list(io.StringIO(text, newline=""))
    return lines[:-1] if len(lines) > 1 and not text.endswith(("\n", "\r")) else lines


def _without_delimiter_line(text: str) -> str:
    return _SEP_LINE.sub("", text, count=1) if _SEP_LINE.match(text) else text


def _is_single_quoted(text: str) -> bool:
    header = text.split("\n", 1)[0].strip("\r\ufeff ")
    return re.fullmatch(r"'[^']*'([,;\t|]'[^']*')+", header) is not None


def _has_spaces(text: str, dialect: Dialect) -> bool:
    """Whether every name in the header except the first follows a space."""
    names = _without_delimiter_line(text).split("\n", 1)[0].split(dialect.delimiter)
    return len(names) > 1 and all(name.startswith(" ") for name in names[1:])
