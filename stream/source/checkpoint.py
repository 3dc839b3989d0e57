"""Checkpoint of the source: what was acknowledged, so that the next run continues there.

``progress.json`` is replaced after each batch that the broker acknowledged and the delivery log has on disk, so it
never counts a record that may be missing. After a crash between acknowledgement and replacement, the next run sends
the same bytes of that batch again: at most these records arrive twice, which the system counts as duplicates. Nothing
is skipped.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import orjson

from moderation.errors import ConfigurationError

CHECKPOINT_FILE = "progress.json"
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Acknowledged part of one input.

    Attributes:
        input: identity of the input.
        target: the topics with their Kafka ids; re-created topics are another target.
        shift_us: microseconds added to every time; the first run fixes it, also for a shift to ``now``.
        arrivals: processed arrivals, in order: comments + actions + refused.
        comments: acknowledged records of ``comments``.
        actions: acknowledged records of ``actions``.
        refused: records that were too large to send.
        digest: chained SHA-256 over the processed arrivals, hex; detects a changed input.
    """

    input: str
    target: str
    shift_us: int
    arrivals: int = 0
    comments: int = 0
    actions: int = 0
    refused: int = 0
    digest: str = ""


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the checkpoint in a folder; None if there is none yet.

    Raises:
        ConfigurationError: the file is damaged or cannot be read.
    """
    path = folder / CHECKPOINT_FILE
    try:
        stored = orjson.loads(path.read_bytes())
        if set(stored) != {field.name for field in fields(Checkpoint)}:
            raise ValueError("it has other fields than this version writes")
        return Checkpoint(**stored)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            str(path), f"the checkpoint cannot be read ({error})", "Give another --state folder."
        ) from error


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in a folder atomically: after a crash there is the old one or the new one.

    Raises:
        OSError: the checkpoint cannot be written.
    """
    path = folder / CHECKPOINT_FILE
    scratch = path.with_suffix(".new")
    with scratch.open("wb") as file:
        file.write(orjson.dumps(asdict(checkpoint), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def require_same_input(folder: Path, checkpoint: Checkpoint, input_: str, target: str) -> None:
    """Require that a checkpoint belongs to this input and these topics.

    Raises:
        ConfigurationError: it belongs to another input or to other topics; the message names both.
    """
    for what, kept, asked in (("input", checkpoint.input, input_), ("target", checkpoint.target, target)):
        if kept != asked:
            raise ConfigurationError(
                str(folder / CHECKPOINT_FILE),
                f"the checkpoint belongs to another {what}: {kept}; this run has {asked}",
                "Give another --state folder, or delete this one to send from the beginning.",
            )


@contextmanager
def exclusive_run(folder: Path) -> Iterator[None]:
    """Lock a state folder for this process; create it if absent. The lock ends with the process.

    Raises:
        ConfigurationError: another process has the lock, or the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("a")
    except OSError as error:
        raise ConfigurationError(f"--state {folder}", str(error), "Name a folder that can be written.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"--state {folder}", "another source is using it", "Stop the other source or give another folder."
            ) from error
        yield
