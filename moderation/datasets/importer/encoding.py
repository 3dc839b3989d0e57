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
_SHORTEST_RUN_BYTES = 3  # in Western text, letters with accents are among others
_SHORTEST_FOREIGN_BYTES = 4
_ESCAPED = re.compile("[\udc80-\udcff]+")
_KINDS = (
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x89PNG", "a picture"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"ARROW1", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
)


_ARCHIVES = (
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"PK\x03\x04", "a ZIP file inside another file, or a damaged one"),
    (b"\x1f\x8b", "compressed twice"),
    (b"\x28\xb5\x2f\xfd", "compressed twice"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4, which is not read"),
    (b"\xff\x06\x00\x00sNaPpY", "compressed with Snappy, which is not read"),
    (b"\x5d\x00\x00", "compressed with LZMA, which is not read"),
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
    archive = next((title for magic, title in _ARCHIVES if head.startswith(magic)), None)
    if archive is not None or head[257:262] == b"ustar":
        raise DatasetError(name, f"it is {archive or 'a tar archive'}", "Extract it and import the files in it.")
    if re.match(rb"\s*<(!doctype|html|\?xml|\w+(\s[^<>]*)?>\s*<)", head, re.IGNORECASE):
        raise DatasetError(name, "it is a web page or XML", "Download the data file itself, or export CSV.")
    if re.match(rb"\s*(INSERT INTO|CREATE TABLE|-- (MySQL|MariaDB|PostgreSQL)\b)", head, re.IGNORECASE):
        raise DatasetError(name, "it is SQL", "Export the table as CSV.")
    pairs = max(len(head) // 2, 1)
    if head[1::2].count(0) / pairs > 0.4 and head[0::2].count(0) == 0:
        return "utf-16-le"
    if head[0::2].count(0) / pairs > 0.4 and head[1::2].count(0) == 0:
        return "utf-16-be"
    controls = sum(head.count(byte) for byte in (*range(9), *range(14, 27), *range(28, 32)))
    if controls > max(len(head) * 0.02, 3):
        raise DatasetError(
            name,
            "it is not text, or text in an encoding that shows no mark",
            "Export it as CSV, JSON lines or Parquet. If it is text, state its encoding, e.g. --encoding utf-16-le.",
        )
    valid, invalid, in_runs = _utf8_balance(head)
    if invalid <= valid // 10:
        return "utf-8"
    high = sum(byte >= 0x80 for byte in head)
    letters = sum(byte >= 0x80 or 65 <= byte & 0xDF <= 90 for byte in head)
    if high > 0.3 * max(letters, 1) or (in_runs >= _SHORTEST_FOREIGN_BYTES and in_runs > 0.5 * invalid):
        raise DatasetError(
            name,
            "its text is neither UTF-8 nor a Western encoding",
            "State its encoding, e.g. --encoding cp1251, shift_jis or gb18030; --encoding utf-8 if only a few "
            "characters are damaged.",
        )
    if single_byte is not None:
        return single_byte
    return "iso-8859-1" if _UNDEFINED_IN_1252 & set(head) else "cp1252"


def checked_encoding(encoding: str, name: str, head: bytes = b"") -> str:
    """Return the name under which Python knows a stated encoding.

    Args:
        encoding: as stated.
        name: name of the file for messages.
        head: first bytes, decompressed.

    Raises:
        DatasetError: Python knows no such text encoding, or the byte order mark of the file is that of another one.
    """
    try:
        codecs.getincrementaldecoder(encoding)("replace").decode("id".encode(encoding), final=True)
        known = codecs.lookup(encoding).name
    except (LookupError, UnicodeError, TypeError) as error:
        raise DatasetError(
            name, f"--encoding {encoding!r} is unknown", "Write for example --encoding utf-8, utf-16 or cp1252."
        ) from error
    marked = next((each for mark, each in _MARKS if head.startswith(mark)), None)
    if known in ("utf-16", "utf-32") and marked is None and head:
        raise DatasetError(
            name,
            f"it has no byte order mark, which {known.upper()} needs",
            f"State --encoding {known}-le or {known}-be.",
        )
    if marked in ("utf-16", "utf-32") and not known.startswith(marked):
        raise DatasetError(
            name,
            f"it begins with the byte order mark of {marked.upper()}, and --encoding states {encoding}",
            f"Omit --encoding, or state {marked}.",
        )
    return known


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


def _utf8_balance(head: bytes) -> tuple[int, int, int]:
    """Return what a text that is decoded as UTF-8 contains.

    Returns:
        Numbers of multi-byte characters, of invalid bytes, and of invalid bytes in runs of at least three.
    """
    text = codecs.getincrementaldecoder("utf-8")(REPAIRABLE).decode(head)
    runs = [len(found[0]) for found in _ESCAPED.finditer(text)]
    invalid = sum(runs)
    in_runs = sum(run for run in runs if run >= _SHORTEST_RUN_BYTES)
    return sum(character > "\x7f" for character in text) - invalid, invalid, in_runs
