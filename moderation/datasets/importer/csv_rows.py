"""Read the records of CSV text; recover where a quotation mark is not closed.

The module ``csv`` of Python splits every well-formed record. It would also accept a quoted field that runs over all
rows up to the next quotation mark, so that those rows disappear. Here a record that spans several lines is accepted
only if it is well-formed and its lines are not themselves rows; otherwise its first line is read alone.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TextIO

MOST_RECORD_CHARACTERS = 1024 * 1024
"""A record that is longer, because of a long field or an open quotation mark, is not read as one."""
_MOST_LINE_CHARACTERS = 4 * 1024 * 1024
_ENDINGS = "\r\n"
_BACKSLASH, _QUOTE = "\ud800", "\ud801"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file separates and quotes fields.

    Attributes:
        delimiter: one character.
        quote: one character, or None if quotation marks are text.
        has_escapes: whether a backslash makes a quotation mark or a backslash after it text, besides a doubled
            quotation mark. Before other characters it is text.
        skips_spaces: whether spaces after a delimiter are no part of the field.
    """

    delimiter: str = ","
    quote: str | None = '"'
    has_escapes: bool = False
    skips_spaces: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """Fields of a record.

    Attributes:
        line: line on which it begins, from 1.
        fields: texts of the fields.
        is_repaired: whether a quotation mark was read as text.
    """

    line: int
    fields: list[str]
    is_repaired: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is not a record, from 1, and the cause."""

    line: int
    cause: str


def numbered_lines(text: TextIO) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text with their numbers; a line longer than 4 Mi characters is cut there."""
    number = 0
    while line := text.readline(_MOST_LINE_CHARACTERS):
        number += 1
        yield number, line.removeprefix("\ufeff")  # at the beginning, or where files were joined
        while len(line) == _MOST_LINE_CHARACTERS and line[-1] not in _ENDINGS:
            line = text.readline(_MOST_LINE_CHARACTERS)


def csv_records(
    lines: Iterable[tuple[int, str]],
    dialect: Dialect,
    width: int | None,
    is_plausible: Callable[[list[str]], bool] = lambda fields: True,
) -> Iterator[Record | Unreadable]:
    """Yield the records of a CSV text.

    Args:
        lines: numbered lines with their line breaks; blank lines between records are skipped.
        dialect: delimiter and quoting.
        width: number of columns; None accepts every number and repairs nothing.
        is_plausible: whether fields could be a row, e.g. because the label is one; decides where a quotation mark is
            not closed.
    """
    if dialect.has_escapes:
        quote = dialect.quote or ""
        protected = ((number, _protected(line, quote)) for number, line in lines)
        plain = replace(dialect, has_escapes=False)
        for each in csv_records(protected, plain, width, lambda fields: is_plausible(_bare(fields, quote))):
            yield replace(each, fields=_bare(each.fields, quote)) if isinstance(each, Record) else each
        return
    delimiter, quote_mark = dialect.delimiter, dialect.quote
    remaining = _Lines(lines)
    while (first := remaining.next()) is not None:
        number, line = first
        if quote_mark is None or quote_mark not in line:
            fields = line.rstrip(_ENDINGS).split(delimiter)
            if dialect.skips_spaces:
                fields = [field.lstrip(" ") for field in fields]
            if fields == [""]:
                continue
            yield _checked(number, fields, width)
            continue
        taken = [first]
        if _is_open(line, dialect):
            _take_until_closed(taken, remaining, dialect)
        text = line if len(taken) == 1 else "".join(each for _, each in taken)
        strict = _strict(text, dialect)
        if (
            strict is not None
            and (width is None or _fits(strict, width))
            and not _are_rows(taken, dialect, width, is_plausible)
        ):
            yield Record(number, strict[:width])
            continue
        yield _recovered(taken, dialect, width, remaining, is_plausible)


def _protected(line: str, quote: str) -> str:
    """Return a line in which half characters, which no text has, stand for escaped backslashes and quotation marks."""
    return line.replace("\\\\", _BACKSLASH).replace("\\" + quote, _QUOTE) if "\\" in line else line


def _bare(fields: list[str], quote: str) -> list[str]:
    return [each if each.isascii() else each.replace(_BACKSLASH, "\\").replace(_QUOTE, quote) for each in fields]


class _Lines:
    """Numbered lines, of which some may be put back."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self._lines = iter(lines)
        self._returned: deque[tuple[int, str]] = deque()

    def next(self) -> tuple[int, str] | None:
        return self._returned.popleft() if self._returned else next(self._lines, None)

    def put_back(self, lines: list[tuple[int, str]]) -> None:
        self._returned.extendleft(reversed(lines))


def _take_until_closed(taken: list[tuple[int, str]], remaining: _Lines, dialect: Dialect) -> None:
    characters = len(taken[0][1])
    while characters <= MOST_RECORD_CHARACTERS and (more := remaining.next()) is not None:
        taken.append(more)
        characters += len(more[1])
        if _is_open(more[1], dialect):  # an odd number of quotation marks closes the field
            return


def _recovered(
    taken: list[tuple[int, str]],
    dialect: Dialect,
    width: int | None,
    remaining: _Lines,
    is_plausible: Callable[[list[str]], bool],
) -> Record | Unreadable:
    number, line = taken[0]
    alone = tolerant_fields(line, dialect)
    if width is None or (_fits(alone, width) and (len(taken) == 1 or is_plausible(alone))):
        remaining.put_back(taken[1:])
        return Record(number, alone[:width], is_repaired=True)
    if len(taken) > 1:
        together = tolerant_fields("".join(each for _, each in taken), dialect)
        if _fits(together, width) and is_plausible(together):
            return Record(number, together[:width], is_repaired=True)
        remaining.put_back(taken[1:])
        return Unreadable(number, "a quotation mark is opened and not closed")
    return _wrong_width(number, len(alone), width)


def tolerant_fields(text: str, dialect: Dialect) -> list[str]:
    """Split a record in which quotation marks may be text.

    A field is quoted only if its closing quotation mark is followed by a delimiter or the end of the record.
    """
    text = text.rstrip(_ENDINGS)
    delimiter, quote = dialect.delimiter, dialect.quote
    fields: list[str] = []
    at = 0
    while True:
        while dialect.skips_spaces and text.startswith(" ", at):
            at += 1
        end = -1 if quote is None or not text.startswith(quote, at) else _closing(text, at + 1, dialect)
        if end >= 0 and quote is not None:
            inner = text[at + 1 : end]
            fields.append(inner.replace(quote + quote, quote))
            at = end + 1
        else:
            end = text.find(delimiter, at)
            fields.append(text[at:] if end < 0 else text[at:end])
            at = len(text) if end < 0 else end
        if at >= len(text):
            return fields
        at += 1
        if at == len(text):
            return [*fields, ""]


def _closing(text: str, at: int, dialect: Dialect) -> int:
    """Return the position of the quotation mark that ends the field; -1 for none."""
    quote = dialect.quote or ""
    while (position := text.find(quote, at)) >= 0:
        if text.startswith(quote, position + 1):
            at = position + 2
        elif position + 1 == len(text) or text[position + 1] == dialect.delimiter:
            return position
        else:
            at = position + 1
    return -1


def _strict(text: str, dialect: Dialect) -> list[str] | None:
    """Split a well-formed record; return None for any other."""
    reader = csv.reader(
        (text,),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        skipinitialspace=dialect.skips_spaces,
        strict=True,
    )
    try:
        return next(reader, None)
    except csv.Error:
        return None


def _is_open(line: str, dialect: Dialect) -> bool:
    """Whether a line has an odd number of quotation marks."""
    return line.count(dialect.quote or "") % 2 == 1


def _are_rows(
    taken: list[tuple[int, str]], dialect: Dialect, width: int | None, is_plausible: Callable[[list[str]], bool]
) -> bool:
    """Whether the lines of a record are rows of their own, so that an open quotation mark joined them."""
    if width is None or width < 2 or len(taken) < 2:
        return False
    rows = [tolerant_fields(line, dialect) for _, line in taken]
    if any(len(row) != width for row in rows) or not (is_plausible(rows[0]) and is_plausible(rows[-1])):
        return False
    return sum(map(is_plausible, rows)) * 2 >= len(rows)


def _checked(number: int, fields: list[str], width: int | None) -> Record | Unreadable:
    if width is None or len(fields) == width:
        return Record(number, fields)
    return Record(number, fields[:width]) if _fits(fields, width) else _wrong_width(number, len(fields), width)


def _fits(fields: list[str], width: int) -> bool:
    """Whether a record has the right number of fields; empty ones at its end do not count."""
    return len(fields) == width or (len(fields) > width and not any(fields[width:]))


def _wrong_width(number: int, fields: int, width: int) -> Unreadable:
    noun = "column" if fields == 1 else "columns"
    return Unreadable(number, f"{fields} {noun} where the header has {width}")


csv.field_size_limit(max(csv.field_size_limit(), 8 * MOST_RECORD_CHARACTERS))
