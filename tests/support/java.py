"""Check whether Spark can start on this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path


def java() -> str | None:
    """Return the java that Spark would use: that of JAVA_HOME, else the first on the PATH; None without one."""
    home = os.environ.get("JAVA_HOME")  # noqa: TID251 - Spark asks it too
    return shutil.which("java", path=str(Path(home) / "bin") if home else None)


def why_no_spark() -> str | None:
    """Return why Spark cannot start; None if it can."""
    if importlib.util.find_spec("pyspark") is None:
        return "PySpark is not installed"
    found = java()
    if found is None:
        return "there is no java in JAVA_HOME, or without it on the PATH"
    listed = subprocess.run([found, "--list-modules"], capture_output=True, text=True, timeout=30, check=False)
    if "jdk.incubator.vector@" not in listed.stdout:
        return f"{found} is older than 17 or has no module jdk.incubator.vector"
    return None
