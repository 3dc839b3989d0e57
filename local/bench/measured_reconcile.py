"""Reconcile a day in a process of its own, from rows that are scored already: ``python -m … DAY FOLDER``."""

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
    day, scored = date.fromisoformat(sys.argv[1]), Path(sys.argv[2])

    def recompute(_: Snapshot, folder: Path) -> None:
        folder.symlink_to(scored, target_is_directory=True)

    print(json.dumps(reconcile_day(load_settings(), day, recompute=recompute).fields()))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
