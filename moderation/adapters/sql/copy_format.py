"""Format values for PostgreSQL's COPY in text format, faster than the driver."""

from __future__ import annotations

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = "\\N"


def text(value: str) -> str:
    """Escape a text value."""
    return value.translate(_ESCAPES)


def binary(value: bytes) -> str:
    """Format a bytea value as hexadecimal."""
    return "\\\\x" + value.hex()
