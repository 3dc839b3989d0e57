"""How far a run got, kept so that the next one goes on there.

``progress.json`` is replaced after each batch that the broker acknowledged and the report has on disk, so it never
counts a record that may be missing. A crash between acknowledgement and replacement makes the next run send that
batch again, byte for byte the same: at most the unacknowledged tail arrives twice, which the system counts as
duplicates. Nothing is skipped.
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
    """What was acknowledged of one input.

    Attributes:
        input: the input's identity.
        target: the topics it goes to, with the ids Kafka gave them: topics made anew are another target.
        shift_us: microseconds added to every time; fixed by the first run, also when the shift is to ``now``.
        arrivals: arrivals dealt with, in order: comments + actions + refused.
        comments: records of ``comments`` acknowledged.
        actions: records of ``actions`` acknowledged.
        refused: records that were too large to be sent.
        digest: chained SHA-256 over the arrivals dealt with, as hex; tells that they have become others.
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
    """The progress kept in a folder; None when there is none yet.

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
        raise ConfigurationError(str(path), f"it cannot be read ({error})", "Give another --state folder.") from error


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the progress kept in a folder; after a crash there is either the old one or the new one.

    Raises:
        OSError: it cannot be written.
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
    """Compare kept progress with what is to be sent.

    Raises:
        ConfigurationError: it belongs to another input or to other topics; both are named.
    """
    for what, kept, asked in (("input", checkpoint.input, input_), ("target", checkpoint.target, target)):
        if kept != asked:
            raise ConfigurationError(
                str(folder / CHECKPOINT_FILE),
                f"it belongs to another {what}: {kept}; asked for is {asked}",
                "Give another --state folder, or delete this one to send from the beginning.",
            )


@contextmanager
def exclusive_run(folder: Path) -> Iterator[None]:
    """Keep a state folder to this process; made if absent. The lock ends with the process, however it ends.

    Raises:
        ConfigurationError: another process has it, or it cannot be made.
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
                f"--state {folder}", "another source is using it", "Stop that one or give another folder."
            ) from error
        yield
