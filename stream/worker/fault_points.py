"""Named points at which a chaos run can kill or freeze a worker.

A file with the name of the point in the folder is the order. The process that removes the file executes the order,
once. Production has no folder; a point then costs one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Literal

FaultPoint = Literal[
    "after_copy", "after_commit", "before_publish", "during_publish", "during_swap", "during_assignment"
]
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class FaultPoints:
    """Looks for orders and executes them.

    Args:
        folder: folder of the orders; None disables all points.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def trigger(self, point: FaultPoint) -> None:
        """Kill or stop the process if there is an order for this point."""
        if self._folder is None:
            return
        order = self._folder / point
        try:
            kind = order.read_text()
            order.unlink()
        except OSError:
            return
        os.kill(os.getpid(), _SIGNALS[kind.strip()])
