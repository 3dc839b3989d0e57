"""Read the objects of JSON lines and of JSON arrays."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import orjson

from moderation.datasets.importer.csv_rows import Unreadable
from moderation.datasets.importer.encoding import decoded_line
from moderation.errors import DatasetError

MOST_LEVELS = 5
"""Levels of objects inside objects whose keys are columns."""
_MOST_LINE_BYTES = 16 * 1024 * 1024
_MOST_DEPTH = 64
_SEARCH_BYTES = 2_048  # the parser names the path of every event in a buffer before it yields the first
_NOT_JSON = re.compile(r"[:,\[]\s*(NaN|-?Infinity)")
_LONG_NUMBER = re.compile(r"[:,\[]\s*-?\d{20,}\s*[,}\]]")
_HAS_LONG_NUMBERS = ("it contains a number with more than 64 bits", "Export ids as text.")
_HAS_NAN = ("it contains NaN or Infinity, which JSON does not have", "Export null instead, or export JSON lines.")
_MOST_ARRAYS = 1_000


@dataclass(frozen=True, slots=True)
class Item:
    """An object with its line (JSON lines) or its number in the array, from 1; ``is_repaired``: not UTF-8."""

    line: int
    fields: dict[str, Any]
    is_repaired: bool = False


def json_line_items(stream: BinaryIO) -> Iterator[Item | Unreadable]:
    """Yield the objects of JSON lines; empty lines are skipped.

    Args:
        stream: UTF-8; a byte order mark is dropped.
    """
    number = 0
    while line := stream.readline(_MOST_LINE_BYTES):
        number += 1
        if len(line) == _MOST_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(_MOST_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield Unreadable(number, "the line is longer than 16 MiB")
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line := line.strip():
            yield _item(number, line)


def json_array_items(stream: BinaryIO, prefix: str, name: str) -> Iterator[Item | Unreadable]:
    """Yield the objects of JSON arrays, in constant memory.

    Args:
        stream: UTF-8.
        prefix: path of the items as ``ijson`` writes it, e.g. ``item`` for the items of the outermost array.
        name: name of the file for messages.

    Raises:
        DatasetError: the text is not JSON, or ends inside the array.
    """
    import ijson

    number = 0
    try:
        for value in ijson.items(stream, prefix, use_float=True, multiple_values=True):
            number += 1
            yield Item(number, value) if isinstance(value, dict) else Unreadable(number, "the item is not an object")
    except (ijson.JSONError, UnicodeDecodeError) as error:
        cause, remedy = _cause(str(error))
        detail = " ".join(str(error).split())[:100]
        raise DatasetError(name, f"{cause}, after item {number:,} ({detail})", remedy) from error


def _cause(message: str) -> tuple[str, str]:
    """Return what is wrong with a JSON text, and the remedy, from the parser's message."""
    again = "Export it again, as JSON lines if you can choose."
    if "overflow" in message:
        return _HAS_LONG_NUMBERS
    if _NOT_JSON.search(message):
        return _HAS_NAN
    if any(each in message for each in ("premature EOF", "ncomplete", "invalid string in json")):  # or a cut literal
        return "the file ends inside the JSON", again
    return "it is not JSON", again


def no_objects(text: str) -> tuple[str, str]:
    """Return cause and remedy for JSON from whose beginning no object can be read."""
    if _NOT_JSON.search(text):
        return _HAS_NAN
    if _LONG_NUMBER.search(text):
        return _HAS_LONG_NUMBERS
    return (
        "it looks like JSON, but contains no object for each comment",
        "Export one object for each comment, e.g. in pandas with to_json(…, orient='records', lines=True).",
    )


def array_prefix(head: bytes, is_wanted: Callable[[str], bool] = lambda key: False) -> str | None:
    """Return the path of an array of objects in a JSON text, as ``ijson`` writes it.

    Args:
        head: beginning of the text, UTF-8.
        is_wanted: whether a key of an object shows that its array is the right one of several.

    Returns:
        The first array with a wanted key, else the first; ``""`` for objects one after another over several lines;
        None if the text is neither.
    """
    import ijson

    in_array: list[str] = []
    found: list[str] = []
    is_object = False
    depth = 0
    try:
        for prefix, event, value in ijson.parse(io.BytesIO(head), multiple_values=True, buf_size=_SEARCH_BYTES):
            if event in ("start_array", "start_map"):
                depth += 1
                if depth > _MOST_DEPTH:
                    return None
            elif event in ("end_array", "end_map"):
                depth -= 1
            if event == "start_array":
                in_array.append(f"{prefix}.item" if prefix else "item")
            elif event == "end_array":
                in_array.pop()
            elif event == "start_map":
                if in_array and prefix == in_array[-1] and prefix not in found and len(found) < _MOST_ARRAYS:
                    found.append(prefix)
                is_object = is_object or prefix == ""
            elif event == "map_key" and is_wanted(value):
                around = [each for each in found if prefix == each or prefix.startswith(f"{each}.")]
                if around:
                    return max(around, key=len)
    except ijson.JSONError:
        pass
    return found[0] if found else "" if is_object else None


class _Transcoded(io.RawIOBase):
    """The bytes of a text stream as UTF-8."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(buffer)  # type: ignore[arg-type] # every buffer of readinto is writable
        if not self._ready:
            self._ready = self._text.read(64 * 1024).encode("utf-8", "replace")
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._text.close()
        super().close()


def as_utf8(stream: BinaryIO, encoding: str) -> BinaryIO:
    """Return a stream of UTF-8 without a byte order mark; ``stream`` itself if it is UTF-8."""
    if encoding == "utf-8":
        return stream
    text = io.TextIOWrapper(stream, encoding, errors="replace", newline="")
    return cast(BinaryIO, io.BufferedReader(_Transcoded(text)))


def value_at(fields: dict[str, Any], column: str) -> Any:
    """Return the value of a column: a key, or a path of keys separated by dots; None if absent."""
    if column in fields:
        return fields[column]
    value: Any = fields
    for key in column.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def column_names(items: list[dict[str, Any]]) -> list[str]:
    """Return the columns of objects in order of appearance; those of objects inside objects as ``outer.inner``."""
    names: dict[str, None] = {}

    def add(prefix: str, fields: dict[str, Any], level: int) -> None:
        for key, value in fields.items():
            if isinstance(value, dict) and value and level < MOST_LEVELS:
                add(f"{prefix}{key}.", value, level + 1)
            else:
                names[f"{prefix}{key}"] = None

    for fields in items:
        add("", fields, 1)
    return list(names)


def _item(number: int, line: bytes) -> Item | Unreadable:
    is_repaired = False
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        if line.startswith(b"{") and line.endswith(b"},"):  # items of an array without its brackets
            return _item(number, line[:-1])
        # Half characters as escapes, NaN and other encodings, which orjson refuses.
        text, is_repaired = decoded_line(line)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return Unreadable(number, "the line is not JSON")
    if not isinstance(value, dict):
        return Unreadable(number, "the line is not a JSON object")
    return Item(number, value, is_repaired)
