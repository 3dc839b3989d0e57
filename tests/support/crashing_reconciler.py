"""``python -m tests.support.crashing_reconciler DAY [POINT]``: reconcile a day; kill the process at a point."""

from __future__ import annotations

import os
import signal
import sys
from datetime import date

from batch.reconcile.run import reconcile_day
from moderation.settings import load_settings


def main() -> None:
    day, point = date.fromisoformat(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""

    def reach(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    reconcile_day(load_settings(), day, fault_point=reach)


if __name__ == "__main__":
    main()
