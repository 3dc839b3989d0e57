"""``python -m local.containers``: ``build``, ``test``, ``down`` or ``sbom``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local.containers import engine, images, stand_ins
from local.containers.folders import CHECKOUT, DEFAULT_WORK_FOLDER, Folders
from local.containers.sbom import SBOM_FOLDER, write_all
from local.containers.trial import CHECKS, SHORT, SHORT_STAND_INS, SHORT_TARGETS, Trial
from local.docs.evidence import EVIDENCE, machine
from moderation.errors import ModerationError

_BEGUN = time.monotonic()


def report(line: str) -> None:
    """Print a line of progress with the seconds since the start."""
    print(f"{time.monotonic() - _BEGUN:6.0f} s  {line}", file=sys.stderr, flush=True)  # noqa: T201


def build(folders: Folders, *, fast: bool, short: bool = False) -> None:
    """Install and start the engine, build every image, or those that :data:`local.containers.trial.SHORT` needs."""
    engine.check_machine()
    targets = SHORT_TARGETS if short else images.TARGETS
    with ThreadPoolExecutor(1) as pool:
        # uv installs packages while Debian is installed.
        made = pool.submit(images.make_environments, folders, targets if fast else ())
        engine.install(folders, report)
        engine.start(folders)
        images.build_stand_ins(folders, report, SHORT_STAND_INS if short else stand_ins.NAMES)
        made.result()
    for each in images.build_targets(folders, report, fast=fast, targets=targets):
        report(f"{each.image}: {each.bytes / 1e9:.2f} GB, {each.seconds:.0f} s")


def try_out(folders: Folders, *, fast: bool, only: str = "", keep: bool = False, short: bool = False) -> list[str]:
    """Run ``docker-compose.yaml`` with the loaded images and check it; return the names of failed checks.

    The outcome is stored in the work folder, check by check.
    """
    versions = json.loads(engine.docker(folders, "version", "--format", "{{json .}}"))
    compose = engine.docker(folders, "compose", "version", "--short").strip()
    names = only.split(",") if only else []
    earlier = json.loads(folders.outcome.read_text())["checks"] if names and folders.outcome.exists() else {}
    checks: dict[str, Any] = dict(earlier)
    for check in Trial(folders, SHORT if short else CHECKS, names, keep=keep).run(report):
        checks[check.name] = {**asdict(check), "commit": _commit()}
        stored = {
            "engine": {"docker": versions["Server"]["Version"], "compose": compose},
            "packages_installed_by": "uv, from the locks" if fast else "the Dockerfile",
            "image_bytes": images.sizes(folders),
            "checks": checks,
        }
        folders.outcome.write_text(json.dumps(stored))
    failed = [name for name, check in checks.items() if not check["passed"]]
    report(f"{len(checks) - len(failed)} of {len(checks)} checks passed" + (f"; failed: {failed}" if failed else ""))
    return failed


def write_evidence(folders: Folders, *, fast: bool, only: str = "") -> None:
    """Write ``docs/evidence/containers.json`` from the stored outcome; each check in it has the commit of its run."""
    words = [f"ONLY={only}"] * bool(only) + ["FAST=1"] * fast
    evidence = {
        "commit": _commit(),
        "command": " ".join(["make containers-test EVIDENCE=1", *words]),
        "machine": machine(),
        "figures": json.loads(folders.outcome.read_text()),
    }
    (EVIDENCE / "containers.json").write_text(json.dumps(evidence, indent=2) + "\n")


def _commit() -> str:
    return _git("rev-parse", "HEAD") + ("+changes" if _git("status", "--porcelain", "--", ":!docs/evidence") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=CHECKOUT, check=True, capture_output=True, text=True)  # noqa: S607
    return done.stdout.strip()


def down(folders: Folders) -> list[str]:
    """Stop the engine; return what it changed in the machine's network and could not restore."""
    differences = engine.stop(folders)
    for difference in differences:
        report(f"not restored: {difference}")
    return differences


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m local.containers", description=__doc__)
    parser.add_argument("command", choices=["build", "test", "down", "sbom"])
    parser.add_argument("--work-folder", type=Path, default=DEFAULT_WORK_FOLDER)
    parser.add_argument("--fast", action="store_true", help="install packages by uv instead of by the Dockerfile's pip")
    parser.add_argument("--evidence", action="store_true", help="write docs/evidence/containers.json")
    parser.add_argument("--only", default="", help="run these checks, separated by commas, on what an earlier run left")
    parser.add_argument("--keep", action="store_true", help="leave containers and volumes after the checks")
    parser.add_argument("--short", action="store_true", help="without the source and Prometheus, and a short test")
    parser.add_argument("--no-build", action="store_true", help="use the images that are loaded")
    options = parser.parse_args()
    folders = Folders(options.work_folder.absolute())
    try:
        if options.command == "build":
            build(folders, fast=options.fast, short=options.short)
        elif options.command == "down":
            sys.exit(1 if down(folders) else 0)
        elif options.command == "sbom":
            write_all(CHECKOUT / SBOM_FOLDER, report)
        else:
            if not options.no_build:
                build(folders, fast=options.fast, short=options.short)
            failed = try_out(folders, fast=options.fast, only=options.only, keep=options.keep, short=options.short)
            if options.evidence:
                write_evidence(folders, fast=options.fast, only=options.only)
            sys.exit(1 if failed else 0)
    except ModerationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
