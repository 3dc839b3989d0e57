"""Run the measurements that README and docs quote; write ``docs/evidence/*.json``: ``python -m local.docs.evidence``.

Each file contains the commit, the command, the machine and the output. All other figures come from these files.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_SOAK_PLOT = "docs/images/soak_memory.png"
_SELF_REMOVAL_PLOT = "docs/images/self_removal.png"
_COMPARISON_PLOT = "docs/images/model_comparison.png"
# A day of ten million comments, each scored three times, which takes three quarters of an hour on two cores.
_A_DAY = ("--rows", "1000000", "--rescored", "10000000")
EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"


def commands(csv: Path | None) -> dict[str, list[str]]:
    """Return the commands to run, by evidence name; ``OUT`` is replaced by a temporary folder.

    Args:
        csv: an r/science export; generated traffic if None.
    """
    if csv is None:
        history = ["--history", "OUT/history"]
        return {
            "generate": ["generate", "--out", "OUT/history", "--days", "30", "--json"],
            "training_generated": ["train", *history, "--out", "OUT/model", "--json"],
            "kernel_generated": ["bench", "kernel", "--json"],
            "worst_text": ["bench", "worst-text", "--json"],
            "self_removal": ["bench", "self-removal", "--plot", _SELF_REMOVAL_PLOT, "--json"],
            "own_data": ["bench", "own-data", "--json"],
            "demo": ["demo", "--data-folder", "OUT/stack", "--json"],
            "demo_down": ["down", "--data-folder", "OUT/stack", "--purge", "--yes"],
            "archive": ["bench", "archive", "--data-folder", "OUT/bench", "--json"],
            "chaos": ["chaos", "--data-folder", "OUT/chaos", "--json"],
        }
    source = ["--csv", str(csv)]
    return {
        "training_rscience": ["train", *source, "--out", "OUT/model", "--json"],
        "compare": ["compare", *source, "--plot", _COMPARISON_PLOT, "--json"],
        "kernel_rscience": ["bench", "kernel", *source, "--json"],
        "stream": ["bench", "stream", *source, "--data-folder", "OUT/bench", "--json"],
        "batch": ["bench", "batch", *source, "--data-folder", "OUT/bench", "--json"],
        "scored_day": ["bench", "batch", *_A_DAY, *source, "--data-folder", "OUT/bench", "--json"],
        "footprint": ["bench", "footprint", *source, "--data-folder", "OUT/bench", "--json"],
        "soak": ["bench", "soak", *source, "--plot", _SOAK_PLOT, "--data-folder", "OUT/bench", "--json"],
    }


def machine() -> dict[str, Any]:
    """Describe the machine, without anything that identifies it."""
    names = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def gather(csv: Path | None, prefix: str = "") -> None:
    """Run every command and write its evidence file; a failing command ends the run with its message.

    Args:
        csv: see :func:`commands`.
        prefix: run only commands whose evidence name has this prefix.
    """
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    commit = _output(["git", "rev-parse", "HEAD"])
    changed = bool(_output(["git", "status", "--porcelain", "--", ":!docs/evidence"]))
    with tempfile.TemporaryDirectory() as out:
        for name, arguments in commands(csv).items():
            if not name.startswith(prefix):
                continue
            shown = ["moderation", *(Path(word).name if csv and word == str(csv) else word for word in arguments)]
            print(" ".join(shown), file=sys.stderr, flush=True)  # noqa: T201 - long work shows progress
            concrete = [word.replace("OUT", out, 1) if word.startswith("OUT/") else word for word in arguments]
            printed = _output([sys.executable, "-m", "cli.main", *concrete])
            if "--json" not in arguments:
                continue
            figures = json.loads(printed)
            evidence = {
                "commit": commit + ("+changes" if changed else ""),
                "command": " ".join(shown),
                "machine": machine(),
                "figures": figures,
            }
            (EVIDENCE / f"{name}.json").write_text(json.dumps(evidence, indent=2) + "\n")


def _output(command: list[str]) -> str:
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        # The output of a failed command is needed for the diagnosis.
        print(done.stdout, file=sys.stderr, flush=True)  # noqa: T201
        done.check_returncode()
    return done.stdout.strip()


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write docs/evidence/*.json.")
    parser.add_argument("--csv", type=Path, help="an r/science export, measured besides the generated traffic")
    parser.add_argument("--only", default="", help="beginning of the evidence names to write, e.g. demo")
    options = parser.parse_args()
    gather(None, options.only)
    if options.csv is not None:
        gather(options.csv, options.only)
