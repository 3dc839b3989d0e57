"""Whether Spark would start here."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess


def why_no_spark() -> str | None:
    """Why Spark would not start; None if it would."""
    if importlib.util.find_spec("pyspark") is None:
        return "PySpark is not installed"
    java = shutil.which("java")
    if java is None:
        return "there is no java on the PATH"
    found = subprocess.run([java, "--list-modules"], capture_output=True, text=True, timeout=30, check=False)
    if "jdk.incubator.vector@" not in found.stdout:
        return "the java on the PATH is older than 17 or has no module jdk.incubator.vector"
    return None
