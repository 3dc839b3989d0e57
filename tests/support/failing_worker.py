"""``python -m tests.support.failing_worker WORD …``: a worker whose kernel fails for every text with a word.

The word is also in the error message, as it could be with a real defect.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from moderation.scoring import Kernel
from moderation.settings import load_settings
from stream.__main__ import new_worker
from stream.logs import faust_level


def fail_for(word: str) -> None:
    """Make every kernel of this process fail for texts with a word."""
    score_many = Kernel.score_many

    def brittle(self: Kernel, texts: Sequence[str]) -> Any:
        for text in texts:
            if word in text:
                raise ZeroDivisionError(text)
        return score_many(self, texts)

    Kernel.score_many = brittle  # type: ignore[method-assign]


if __name__ == "__main__":
    fail_for(sys.argv.pop(1))
    settings = load_settings()
    sys.argv += ["--loglevel", faust_level(settings.log_level)]
    new_worker(settings).main()
