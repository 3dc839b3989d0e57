"""Look at the beginning of a file: kind, compression, encoding, dialect, names of columns, first values."""

from __future__ import annotations

import codecs
import io
import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from moderation.datasets.importer.compression import DAMAGED, compression_of, read_error
from moderation.datasets.importer.csv_rows import Dialect
from moderation.datasets.importer.dialect import delimiter_line, guess_dialect, lines_before_header, sampled
from moderation.datasets.importer.encoding import REPAIRABLE, checked_encoding, guess_encoding
from moderation.datasets.importer.formats import Format, detect
from moderation.datasets.importer.inputs import Input
from moderation.datasets.importer.json_rows import (
    Item,
    array_prefix,
    column_names,
    json_line_items,
    no_objects,
    value_at,
)
from moderation.datasets.importer.mapping import ALIASES, normal
from moderation.datasets.importer.parquet_rows import parquet_columns
from moderation.errors import DatasetError

HEAD_BYTES = 256 * 1024
LONGEST_HEAD_BYTES = 16 * 1024 * 1024
Kind = Literal["csv", "json-lines", "json-array", "parquet"]
_TITLES = {"csv": "CSV", "json-lines": "JSON lines", "json-array": "JSON", "parquet": "Parquet"}
_DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}


@dataclass(frozen=True, slots=True)
class Layout:
    """What the beginning of a file shows.

    Attributes:
        kind: kind of file.
        compression: name of the compression, or None.
        encoding: text encoding; empty for Parquet.
        dialect: of a CSV file; else None.
        prefix: path of the items of a JSON array, as ``ijson`` writes it; else empty.
        names: names of the columns; ``#1``, … for a CSV file without a header.
        samples: cells of the first rows, in the order of ``names``.
        skipped_lines: lines of a CSV file before the first row, among them the header.
        lines_before_header: lines of a CSV file before the header, e.g. a title.
    """

    kind: Kind
    compression: str | None
    encoding: str
    dialect: Dialect | None
    prefix: str
    names: tuple[str, ...]
    samples: tuple[tuple[Any, ...], ...]
    skipped_lines: int = 0
    lines_before_header: int = 0

    def title(self) -> str:
        """Return kind, compression, encoding and delimiter as text."""
        parts = [_TITLES[self.kind]]
        if self.compression:
            parts.append(self.compression)
        if self.encoding:
            parts.append(self.encoding.upper().replace("-SIG", " with a byte order mark"))
        if self.dialect is not None and len(self.names) > 1:
            delimiter = self.dialect.delimiter
            parts.append(f"separated by {_DELIMITER_NAMES.get(delimiter, repr(delimiter))}")
        if self.lines_before_header:
            parts.append(f"header in line {self.lines_before_header + 1}")
        return ", ".join(parts)


def sniff(
    file: Input, encoding: str | None, delimiter: str | None, quote: str | None, has_header: bool, named: Format | None
) -> Layout:
    """Look at the beginning of a file.

    Args:
        file: the file.
        encoding: stated encoding, or None.
        delimiter: stated delimiter, or None.
        quote: stated quotation mark, empty if they are text, or None.
        has_header: whether the first row of a CSV file names the columns.
        named: stated format, or None.

    Raises:
        DatasetError: the file cannot be read, is empty, or is not a kind of data file.
    """
    head = _decompressed_head(file, HEAD_BYTES)
    try:
        return _of_head(file, head, encoding, delimiter, quote, has_header, named)
    except DatasetError:
        if len(head) < HEAD_BYTES or b"\n" in head:
            raise
    head = _decompressed_head(file, LONGEST_HEAD_BYTES)  # the first line is longer
    return _of_head(file, head, encoding, delimiter, quote, has_header, named)


def _of_head(
    file: Input,
    head: bytes,
    encoding: str | None,
    delimiter: str | None,
    quote: str | None,
    has_header: bool,
    named: Format | None,
) -> Layout:
    compression = compression_of(_head(file))
    if not head.strip():
        raise DatasetError(file.name, "the file is empty", "Name a file with comments.")
    if head.startswith(b"PAR1"):
        with file.open_seekable() as stream:
            names, rows = parquet_columns(stream, file.name)
        return Layout("parquet", compression, "", None, "", tuple(names), tuple(rows))
    is_stated = encoding is not None
    encoding = checked_encoding(encoding, file.name, head) if encoding is not None else guess_encoding(head, file.name)
    if encoding == "utf-8" and head.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    text = codecs.getincrementaldecoder(encoding)(REPAIRABLE if encoding.startswith("utf-8") else "replace").decode(
        head
    )
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] in ("{", "[") and (layout := _json_layout(text, compression, encoding)) is not None:
        return layout
    if _is_json(text):
        cause, remedy = no_objects(text)
        raise DatasetError(file.name, cause, remedy)
    layout = _csv_layout(file, text, compression, encoding, delimiter, quote, has_header)
    if not is_stated and encoding in ("cp1252", "iso-8859-1"):
        known = named or detect(layout.names)
        if known is not None and known.encoding is not None and known.encoding != encoding:
            single_byte = guess_encoding(head, file.name, known.encoding)
            return _csv_layout(
                file, head.decode(single_byte, "replace"), compression, single_byte, delimiter, quote, has_header
            )
    return layout


def _head(file: Input) -> bytes:
    try:
        return file.head()
    except (OSError, RuntimeError, *DAMAGED) as error:
        raise read_error(file.name, error) from error


def _decompressed_head(file: Input, most: int) -> bytes:
    try:
        with file.open() as stream:
            return stream.read(most)
    except (OSError, *DAMAGED) as error:
        raise read_error(file.name, error) from error


def _is_json(text: str) -> bool:
    """Whether a text is JSON or broken JSON, e.g. an array of arrays, or one in each line."""
    if re.match(r"\s*(\{|\[\s*[\[{])", text):
        return True
    if not text.lstrip().startswith("["):
        return False
    for part in (text, text.lstrip().split("\n", 1)[0]):
        try:
            json.loads(part)
        except (ValueError, RecursionError):
            continue
        return True
    return False


def _json_layout(text: str, compression: str | None, encoding: str) -> Layout | None:
    """Return the layout of JSON; None if the text is not JSON."""
    data = text.encode("utf-8", REPAIRABLE if encoding == "utf-8" else "replace")
    items = _line_items(data)
    prefix = ""
    kind: Kind = "json-lines"
    is_wrapped = len(items) == 1 and not _has_text(items[0]) and array_prefix(data) not in (None, "")
    if not items or is_wrapped:
        found = array_prefix(data, _is_text)
        if found is None:
            return None
        kind, prefix, items = "json-array", found, _array_items(data, found)
    if not items:
        return None
    names = column_names(items)
    if len(items) == 1 and prefix == "" and _is_one_table(items[0]):
        return None
    samples = tuple(tuple(value_at(item, name) for name in names) for item in items[:100])
    return Layout(kind, compression, encoding, None, prefix, tuple(names), samples)


def _line_items(data: bytes) -> list[dict[str, Any]]:
    found = [item for item in json_line_items(io.BytesIO(data)) if isinstance(item, Item)]
    return [item.fields for item in found]


def _array_items(data: bytes, prefix: str) -> list[dict[str, Any]]:
    import ijson

    items: list[dict[str, Any]] = []
    try:
        for value in ijson.items(io.BytesIO(data), prefix, use_float=True, multiple_values=True):
            if isinstance(value, dict):
                items.append(value)
    except ijson.JSONError:
        pass  # the head ends inside the array
    return items


def _has_text(item: dict[str, Any]) -> bool:
    return any(_is_text(name.rpartition(".")[2]) for name in column_names([item]))


def _is_text(key: str) -> bool:
    return normal(key) in ALIASES["body"]


def _is_one_table(item: dict[str, Any]) -> bool:
    """Whether an object contains all comments: by column, by id, or as arrays."""
    if not all(isinstance(value, dict | list) for value in item.values()):
        return False
    return sum(isinstance(value, dict) and _has_text(value) for value in item.values()) != 1


def _csv_layout(
    file: Input,
    text: str,
    compression: str | None,
    encoding: str,
    delimiter: str | None,
    quote: str | None,
    has_header: bool,
) -> Layout:
    skipped = lines_before_header(text, delimiter) if has_header else 0
    before = skipped
    text = "".join(list(io.StringIO(text, newline=""))[skipped:]) if skipped else text
    dialect = guess_dialect(text, delimiter, quote or None, has_quote=quote != "")
    if delimiter_line(text) is not None:
        skipped, text = skipped + 1, text.split("\n", 1)[1]
    first = next(sampled(text, dialect), None)
    if first is None:
        raise DatasetError(file.name, "its first line cannot be read", "State --delimiter and --quote.")
    width = len(first.fields)
    if width == 1 and delimiter is None:  # a text with commas is one field too
        dialect = replace(dialect, delimiter="\x1f")
        first = next(sampled(text, dialect), first)
    rows = [record for record in sampled(text, dialect, width) if record.line >= first.line]
    if has_header:
        names = [name.strip() for name in first.fields]
        rows = rows[1:]
        skipped += first.line + sum(name.count("\n") for name in first.fields)
    else:
        names = [f"#{number}" for number in range(1, width + 1)]
    return Layout(
        *("csv", compression, encoding, dialect, "", tuple(names)),
        *(tuple(tuple(row.fields) for row in rows), skipped, before),
    )
