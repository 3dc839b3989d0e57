"""``python -m tests.support.first_rules_worker …``: a worker that reads records by rules version 1."""

from __future__ import annotations

import sys
from datetime import date
from typing import Any

from moderation.contracts import FIRST_RULES, Rules
from moderation.settings import load_settings
from stream.__main__ import new_worker
from stream.logs import faust_level
from stream.worker import app


class _First:
    """Replaces the class from which the worker gets its rules."""

    @staticmethod
    def since(earliest: date) -> Rules:
        """Return rules version 1, regardless of the setting."""
        return FIRST_RULES


if __name__ == "__main__":
    patched: Any = app
    patched.Rules = _First
    settings = load_settings()
    sys.argv += ["--loglevel", faust_level(settings.log_level)]
    new_worker(settings).main()
