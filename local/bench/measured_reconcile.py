"""Reconcile a day in a process of its own: ``python -m … DAY MODE [FOLDER]``.

MODE is ``full`` or ``digests``. FOLDER has recomputed records; without it, the records of the lake are scored.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

from batch.reconcile.run import reconcile_day
from moderation.adapters.reconciliation.snapshot import Snapshot
from moderation.settings import load_settings


def main() -> None:
    """Print the report as one JSON object."""
    day, mode, *scored = date.fromisoformat(sys.argv[1]), sys.argv[2], *map(Path, sys.argv[3:])

    def recompute(_: Snapshot, folder: Path) -> None:
        folder.symlink_to(scored[0], target_is_directory=True)

    report = reconcile_day(load_settings(), day, recompute=recompute if scored else None, full=mode == "full")
    print(json.dumps(report.fields()))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
