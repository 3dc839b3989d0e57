"""Rows for PostgreSQL's COPY in text format, put together without a driver's per-value work."""

from __future__ import annotations

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = "\\N"


def text(value: str) -> str:
    """A text value, escaped."""
    return value.translate(_ESCAPES)


def binary(value: bytes) -> str:
    """A bytea value in hexadecimal."""
    return "\\\\x" + value.hex()
