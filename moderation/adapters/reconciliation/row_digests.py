"""Digests of decisions, computed alike by PostgreSQL and DuckDB, and their sums.

A decision's digest is the SHA-256 of its position and fields. Its first 16 bytes are a number; digests of a partition
and hour are added modulo 2^128, so that the sum does not depend on an order. Equal sums over equal numbers of rows mean
equal rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MODULUS = 2**128
NUMBERS = ("part", "pos", "event_us", "append_us", "score", "verdict", "fate")
"""Columns that are integers; verdict and fate are indexes."""
TEXTS = (
    *("topic_id", "record_id", "model_version", "policy_version", "kernel_version"),
    *("repairs", "reasons", "community", "comment_id"),
)
"""Columns that are texts; the record id is hexadecimal, absent repairs and reasons are empty."""


@dataclass(frozen=True, slots=True)
class RowsDigest:
    """Number of rows, and the sum of their digests modulo 2^128."""

    rows: int = 0
    total: int = 0

    @classmethod
    def of(cls, rows: int, upper: int, lower: int) -> RowsDigest:
        """Combine the sums of the upper and lower 64 bits, each read as a signed number."""
        return cls(rows, (upper * 2**64 + lower) % MODULUS)

    def plus(self, other: RowsDigest) -> RowsDigest:
        """Return the digest of both sets of rows."""
        return RowsDigest(self.rows + other.rows, (self.total + other.total) % MODULUS)


def row_text(columns: Mapping[str, str], length: str) -> str:
    """Return the SQL expression of the text that is hashed; no two rows have one text.

    Args:
        columns: SQL expression of each column of ``NUMBERS`` and ``TEXTS``.
        length: function for the number of bytes of a text in UTF-8.
    """
    numbers = [f"CAST({columns[name]} AS text)" for name in NUMBERS]
    texts = [f"CAST({length}({columns[name]}) AS text) || ':' || {columns[name]}" for name in TEXTS]
    return " || '|' || ".join([*numbers, *texts])
