"""Digests of decisions, computed alike by PostgreSQL, DuckDB and Python.

Decisions are grouped by everything that many of them share: topic, partition, community, pane, versions, repairs and
fate. Within a group, a decision's digest is the SHA-256 of its other fields. Its first 16 bytes are a number, and the
numbers of a group are added, so that the sum does not depend on an order. The halves of the numbers, read as signed
64-bit numbers, are added separately and without a modulus: both sums together determine the sum modulo 2^128. Equal
sums over equal numbers of rows in every group mean equal rows.

What the rows of a group share is compared as it is and hashed in no row, so that a row with usual ids takes two blocks
of SHA-256.
"""

from __future__ import annotations

import hashlib
import struct

from moderation.contracts import Verdict

KEYS = (
    *("topic_id", "part", "community", "start_us", "model_version", "policy_version", "kernel_version", "repairs"),
    "fate",
)
"""Columns that the rows of a group share; ``start_us`` is that of the pane."""
HASHED = ("pos", "event_us", "append_us", "score", "verdict", "comment_id", "record_id", "reasons")
"""Columns that are hashed; absent reasons are empty."""
_HALVES = struct.Struct(">qq")
_WORDS = str([str(verdict) for verdict in Verdict])  # a list in Python and in DuckDB


def row_digest(
    pos: int, event_us: int, append_us: int, score: int, verdict: str, comment_id: str, record_id: bytes, reasons: str
) -> tuple[int, int]:
    """Return the halves of a row's digest, each as a signed number.

    The hashed bytes are a text in UTF-8, then the record id. The text has the lengths of the comment id and the record
    id in bytes, so that no two rows have the same bytes.

    Args:
        pos: offset.
        event_us: event time, microseconds since the epoch.
        append_us: append time, microseconds since the epoch.
        score: parts per million.
        verdict: a ``Verdict``.
        comment_id: as in the comment.
        record_id: usually 32 bytes.
        reasons: JSON as PostgreSQL writes it; empty for none.
    """
    comment = comment_id.encode()
    numbers = f"{pos}|{event_us}|{append_us}|{score}|{verdict}|{len(comment)}|{len(record_id)}|".encode()
    text = b"%b%b|%b" % (numbers, comment, reasons.encode()) if reasons else numbers + comment
    upper, lower = _HALVES.unpack_from(hashlib.sha256(text + record_id).digest())
    return upper, lower


def with_digests(query: str) -> str:
    """Return DuckDB's query that adds columns ``digest_upper`` and ``digest_lower``, see :func:`row_digest`.

    Args:
        query: has the columns of ``HASHED``; the verdict is an index.
    """
    # concat_ws leaves out nulls.
    return f"""
SELECT * EXCLUDE (row_sha), unhex(substr(row_sha, 1, 16))::BIT::BIGINT AS digest_upper,
       unhex(substr(row_sha, 17, 16))::BIT::BIGINT AS digest_lower
  FROM (SELECT *, sha256(encode(concat_ws('|', pos, event_us, append_us, score, {_WORDS}[verdict + 1],
                                          strlen(comment_id), octet_length(record_id), comment_id,
                                          nullif(reasons, ''))) || record_id) AS row_sha
          FROM ({query}))
"""  # noqa: S608 - the caller's query
