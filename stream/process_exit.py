"""End a process immediately after an error, with the exit code that the supervisor understands."""

from __future__ import annotations

import logging
import os
import traceback
from typing import NoReturn

from moderation.adapters import error_origin
from stream.exit_codes import REFUSED, worker_exit_code

_log = logging.getLogger(__name__)


def leave(error: BaseException) -> NoReturn:
    """Log the error and end the process without any cleanup that could acknowledge records that are not stored."""
    code = worker_exit_code(error)
    if code == REFUSED:
        _log.critical("stopping for good: %s", error)
    else:
        where = "".join(traceback.format_tb(error.__traceback__))
        _log.critical("stopping; the supervisor starts again: %s\n%s", error_origin.loggable_text(error), where)
    logging.shutdown()
    os._exit(code)
