"""Estimate the processor time that a record takes to decide, from its bytes alone.

The estimate is an upper bound, calibrated with the most expensive texts that ``moderation bench worst-text`` finds:
all words of a text may be new to the kernel. Usual comments take a fraction of it.
"""

from __future__ import annotations

import string

PLAIN_US = 1.5
"""Microseconds for an ASCII letter, digit or space, as part of a short new word."""
MARK_US = 9.0
"""Microseconds for another ASCII character, which the tokenizer splits off a word."""
OTHER_US = 4.0
"""Microseconds for a UTF-8 byte of another character, which has two to four bytes."""
_PLAIN = (string.ascii_letters + string.digits + " ").encode()
_ASCII = bytes(range(128))


def estimated_work_us(value: bytes | None) -> float:
    """Return an approximate upper bound in microseconds of processor time.

    Args:
        value: value of a record; None for a record without one.
    """
    if not value:
        return 0.0
    marks = len(value.translate(None, _PLAIN))
    work_us = PLAIN_US * (len(value) - marks)
    if value.isascii():
        return work_us + MARK_US * marks
    others = len(value.translate(None, _ASCII))
    return work_us + MARK_US * (marks - others) + OTHER_US * others
