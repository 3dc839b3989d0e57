"""Archive topic comments in a process of its own and print the report: ``python -m local.bench.measured_archive``.

The process measures its peak memory itself, because the operating system's value for an ended child process includes
the memory of its parent at the start.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from batch.archive.run import archive_topics
from moderation.adapters.kafka.topics import COMMENTS
from moderation.settings import load_settings


def peak_rss_bytes() -> int:
    """Return the peak resident memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    report = archive_topics(load_settings(), topics=[COMMENTS.name])
    json.dump({**report.fields(), "peak_rss_bytes": peak_rss_bytes()}, sys.stdout)
