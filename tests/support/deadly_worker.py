"""``python -m tests.support.deadly_worker WORD …``: a worker whose process ends at every text that has a word in it.

``… deadly_worker probe WORD`` is the child that the worker tries records in; it ends likewise.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from moderation.scoring import Kernel
from moderation.settings import load_settings
from stream import probe
from stream.__main__ import new_worker
from stream.logs import faust_level


def end_for(word: str) -> None:
    """Have every kernel of this process end it at texts with a word, or hang if the text says so."""
    score_many = Kernel.score_many

    def deadly(self: Kernel, texts: Sequence[str]) -> Any:
        for text in texts:
            if word in text:
                while "hang" in text:
                    pass
                os.kill(os.getpid(), signal.SIGSEGV)
        return score_many(self, texts)

    Kernel.score_many = deadly  # type: ignore[method-assign]


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        end_for(sys.argv[2])
        probe.serve()
    else:
        end_for(word := sys.argv.pop(1))
        probe.COMMAND = [sys.executable, "-P", "-m", "tests.support.deadly_worker", "probe", word]
        settings = load_settings()
        sys.argv += ["--loglevel", faust_level(settings.log_level)]
        new_worker(settings).main()
