"""How the worker ends, and what the supervisor makes of it."""

from __future__ import annotations

import logging
import os
import traceback
from typing import NoReturn

from moderation.adapters import error_origin
from moderation.errors import FenceLost, NeedsOperator
from stream.worker import metrics

RESTART = 75
"""Something that another start may heal: a lost fence, a broken connection, a defect."""
REFUSED = 78
"""Something that only a person can mend: the supervisor must not start the worker again."""

_log = logging.getLogger(__name__)


def exit_code(error: BaseException) -> int:
    """The exit code for an error that ends the process."""
    return REFUSED if isinstance(error, NeedsOperator) else RESTART


def leave(error: BaseException) -> NoReturn:
    """End the process at once, without running anything that might acknowledge what was not stored."""
    code = exit_code(error)
    if isinstance(error, FenceLost):
        metrics.FENCE_LOSSES.note()
    if code == REFUSED:
        _log.critical("stopping for good: %s", error)
    else:
        where = "".join(traceback.format_tb(error.__traceback__))
        _log.critical("stopping; the supervisor starts again: %s\n%s", error_origin.loggable_text(error), where)
    logging.shutdown()
    os._exit(code)
