"""``python -m local.containers``: ``build``, ``test`` or ``down``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from local.containers import engine, images
from local.containers.folders import DEFAULT_WORK_FOLDER, Folders
from moderation.errors import ModerationError

_BEGUN = time.monotonic()


def report(line: str) -> None:
    """Print a line of progress with the seconds since the start."""
    print(f"{time.monotonic() - _BEGUN:6.0f} s  {line}", file=sys.stderr, flush=True)  # noqa: T201


def build(folders: Folders) -> None:
    """Install and start the engine, build every image."""
    engine.check_machine()
    engine.install(folders, report)
    engine.start(folders)
    images.build_stand_ins(folders, report)
    for built in images.build_targets(folders, report):
        report(f"{built.image}: {built.bytes / 1e9:.2f} GB, {built.seconds:.0f} s")


def down(folders: Folders) -> None:
    """Stop the engine."""
    for difference in engine.stop(folders):
        report(f"not restored: {difference}")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m local.containers", description=__doc__)
    parser.add_argument("command", choices=["build", "down"])
    parser.add_argument("--work-folder", type=Path, default=DEFAULT_WORK_FOLDER)
    options = parser.parse_args()
    folders = Folders(options.work_folder.absolute())
    try:
        {"build": build, "down": down}[options.command](folders)
    except ModerationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
