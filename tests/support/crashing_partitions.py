"""``python -m tests.support.crashing_partitions URL TODAY STEP``: a partition job that kills itself at a step."""

from __future__ import annotations

import os
import signal
import sys
from datetime import date

from moderation.adapters.sql.partitions import keep_partitions

if __name__ == "__main__":
    url, today, wanted = sys.argv[1:]

    def reach(step: str) -> None:
        if step == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    keep_partitions(url, 2, today=date.fromisoformat(today), on_step=reach)
