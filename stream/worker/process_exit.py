"""End the worker process after an error; count a lost fence before."""

from __future__ import annotations

from typing import NoReturn

from moderation.errors import FenceLost
from stream import process_exit
from stream.worker import metrics


def leave(error: BaseException) -> NoReturn:
    """End the process; see :func:`stream.process_exit.leave`."""
    if isinstance(error, FenceLost):
        metrics.FENCE_LOSSES.note()
    process_exit.leave(error)
