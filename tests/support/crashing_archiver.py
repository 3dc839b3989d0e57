"""``python -m tests.support.crashing_archiver POINT N``: an archiver that kills itself at a point."""

from __future__ import annotations

import os
import signal
import sys

from batch.archive.partition import ArchivePoint
from batch.archive.run import archive_topics
from moderation.settings import load_settings
from tests.support.lakes import SMALL

if __name__ == "__main__":
    wanted, left = sys.argv[1], int(sys.argv[2])

    def reach(point: ArchivePoint) -> None:
        global left
        if point == wanted:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    archive_topics(load_settings(), limits=SMALL, fault_point=reach)
