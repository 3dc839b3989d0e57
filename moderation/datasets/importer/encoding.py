"""Guess the encoding of text, and repair single texts of another encoding."""

from __future__ import annotations

import codecs
import re

from moderation.errors import DatasetError

REPAIRABLE = "surrogateescape"
"""Error handler with which UTF-8 is decoded: bytes that are not UTF-8 become half characters, see :func:`repaired`."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNDEFINED_IN_1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
_ESCAPED = re.compile("[\udc80-\udcff]+")
_KINDS = (
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x89PNG", "a picture"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"ARROW1", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
)


def guess_encoding(head: bytes, name: str, single_byte: str | None = None) -> str:
    """Return the encoding of a text from its first bytes.

    Args:
        head: first bytes, decompressed; may end inside a character.
        name: name of the file for messages.
        single_byte: encoding of this format's files that are not UTF-8; Windows-1252 or ISO-8859-1 if None.

    Raises:
        DatasetError: it is not text, or text in an unknown encoding.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    for magic, title in _KINDS:
        if head.startswith(magic):
            raise DatasetError(name, f"it is {title}", "Export it as CSV, JSON lines or Parquet.")
    if re.match(rb"\s*<(!doctype|html|\?xml)", head, re.IGNORECASE):
        raise DatasetError(name, "it is a web page or XML", "Download the data file itself, or export CSV.")
    pairs = max(len(head) // 2, 1)
    if head[1::2].count(0) / pairs > 0.4 and head[0::2].count(0) == 0:
        return "utf-16-le"
    if head[0::2].count(0) / pairs > 0.4 and head[1::2].count(0) == 0:
        return "utf-16-be"
    controls = sum(head.count(byte) for byte in (*range(9), *range(14, 27), *range(28, 32)))
    if controls > max(len(head) * 0.02, 3):
        raise DatasetError(name, "it is not text", "Export it as CSV, JSON lines or Parquet.")
    valid, invalid = _utf8_balance(head)
    if invalid <= valid // 10:
        return "utf-8"
    high = sum(byte >= 0x80 for byte in head)
    letters = sum(byte >= 0x80 or 65 <= byte & 0xDF <= 90 for byte in head)
    if high > 0.3 * max(letters, 1):
        raise DatasetError(
            name,
            "its text is neither UTF-8 nor a Western encoding",
            "State its encoding, e.g. --encoding cp1251, shift_jis or gb18030.",
        )
    if single_byte is not None:
        return single_byte
    return "iso-8859-1" if _UNDEFINED_IN_1252 & set(head) else "cp1252"


def checked_encoding(encoding: str, name: str) -> str:
    """Return the name under which Python knows an encoding.

    Raises:
        DatasetError: Python knows no such text encoding.
    """
    try:
        "".encode(encoding)
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise DatasetError(
            name, f"--encoding {encoding!r} is unknown", "Write for example --encoding utf-8, utf-16 or cp1252."
        ) from error


def repaired(text: str) -> str:
    """Return a text whose half characters stand for bytes that are not UTF-8: they are read as Windows-1252."""
    return _ESCAPED.sub(lambda found: _single_bytes(found[0].encode("utf-8", REPAIRABLE)), text)


def has_escaped_bytes(text: str) -> bool:
    """Whether a decoded text contains bytes that are not UTF-8."""
    return not text.isascii() and _ESCAPED.search(text) is not None


def decoded_line(line: bytes) -> tuple[str, bool]:
    """Decode a line of UTF-8; return it with whether other bytes were read as Windows-1252."""
    try:
        return line.decode(), False
    except UnicodeDecodeError:
        return repaired(line.decode("utf-8", REPAIRABLE)), True


def _single_bytes(data: bytes) -> str:
    return "".join(bytes((byte,)).decode("iso-8859-1" if byte in _UNDEFINED_IN_1252 else "cp1252") for byte in data)


def _utf8_balance(head: bytes) -> tuple[int, int]:
    """Return the numbers of multi-byte characters and of invalid bytes of a text that is decoded as UTF-8."""
    text = codecs.getincrementaldecoder("utf-8")(REPAIRABLE).decode(head)
    invalid = sum(len(found[0]) for found in _ESCAPED.finditer(text))
    return sum(character > "\x7f" for character in text) - invalid, invalid
