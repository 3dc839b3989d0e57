"""Settings of the garbage collector of a worker."""

from __future__ import annotations

import gc


def freeze_startup_objects() -> None:
    """Exclude long-lived objects from garbage collection, and collect less often.

    A batch creates tens of thousands of objects. Scanning model and libraries for each batch took a sixth of the
    process's time; objects of a batch form no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
