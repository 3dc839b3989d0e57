"""Log format: one JSON object a line with time, level, logger, event.

No line contains the text of a comment; a test checks it.
"""

from __future__ import annotations

from typing import Any

import structlog


def logging_config(level: str) -> dict[str, Any]:
    """Return the logging configuration for Faust, which also applies its own ``--loglevel``; see :func:`faust_level`.

    Args:
        level: the least severe level that is written.
    """
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    final = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": final,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
    }


def faust_level(level: str) -> str:
    """Return the name of a level on Faust's command line."""
    return "warn" if level == "warning" else level
