"""An estimate of the processor time that deciding a record takes, from its bytes alone.

It is an upper bound, calibrated with the most expensive texts that ``moderation bench worst-text`` finds: the words of
a text may all be new to the kernel. Usual comments take a fraction of it.
"""

from __future__ import annotations

import string

PLAIN_US = 1.5
"""Microseconds for an ASCII letter, digit or space: a short word that was never seen."""
MARK_US = 9.0
"""For another ASCII character: a mark that is peeled off a word."""
OTHER_US = 4.0
"""For a byte of another character in UTF-8, which has two to four."""
_PLAIN = (string.ascii_letters + string.digits + " ").encode()
_ASCII = bytes(range(128))


def estimated_work_us(value: bytes | None) -> float:
    """Microseconds of processor time, at most about.

    Args:
        value: of a record; None for a record without one.
    """
    if not value:
        return 0.0
    marks = len(value.translate(None, _PLAIN))
    work_us = PLAIN_US * (len(value) - marks)
    if value.isascii():
        return work_us + MARK_US * marks
    others = len(value.translate(None, _ASCII))
    return work_us + MARK_US * (marks - others) + OTHER_US * others
