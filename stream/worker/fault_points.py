"""Named instants at which a worker can be made to die or freeze, so that chaos hits them and not only their vicinity.

A file of the point's name in the folder is the order; whoever removes it carries it out, once. Without a folder, which
is how production runs, a point costs one comparison.
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
    """Looks for orders.

    Args:
        folder: where orders lie; None for none ever.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def trigger(self, point: FaultPoint) -> None:
        """Carry out the order for this point if there is one: the process is killed or stopped here."""
        if self._folder is None:
            return
        order = self._folder / point
        try:
            kind = order.read_text()
            order.unlink()
        except OSError:
            return
        os.kill(os.getpid(), _SIGNALS[kind.strip()])
