"""Files and folders that commands write: checked before the work, written beside the target, then renamed.

A command that fails, for example because the disk is full, leaves the target as it was.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from moderation.errors import ConfigurationError, OutputFailed

_PREFIX = ".moderation-unfinished-"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_WRITING = (errno.EROFS, errno.EFBIG, errno.EIO)


def check_output_file(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Check that a file can be written, before long work begins; create its folder.

    Args:
        path: the file; it may exist.
        inputs: files and folders that the command reads.

    Raises:
        ConfigurationError: the path is a folder or an input, or its folder cannot be written.
    """
    if path.is_dir():
        raise ConfigurationError(str(path), "it is a folder", "Name a file.")
    _refuse_inputs(path, inputs)
    if path.exists() and not os.access(path, os.W_OK):
        raise ConfigurationError(str(path), "the file may not be written", "Name another file.")
    check_folder(path.parent)


def check_output_folder(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Check that a folder can be written, before long work begins; the folder itself is not created.

    Args:
        path: the folder; it may exist.
        inputs: files and folders that the command reads.

    Raises:
        ConfigurationError: the path is a file or an input, or cannot be written.
    """
    _refuse_inputs(path, inputs)
    if os.path.lexists(path):
        check_folder(path)
    else:
        check_folder(path.parent, path)


def check_folder(folder: Path, target: Path | None = None) -> None:
    """Create a folder and check that files can be written there.

    Args:
        folder: the folder.
        target: what the message names; the folder itself if None.

    Raises:
        ConfigurationError: the folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        cause = f"the folder cannot be written ({error.strerror})"
        raise ConfigurationError(str(target or folder), cause, "Name a folder that you may write to.") from error


def write_file(path: Path, data: bytes | str) -> None:
    """Write a file completely or not at all; an existing file is replaced.

    Args:
        path: the file, see :func:`check_output_file`.
        data: contents; text is written as UTF-8.

    Raises:
        OutputFailed: the file cannot be written; an existing file is as before.
    """
    with replaced_file(path) as unfinished:
        unfinished.write_bytes(data if isinstance(data, bytes) else data.encode())


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Give a path beside a file to write to, and rename it to the file at the end.

    Args:
        path: the file, see :func:`check_output_file`.

    Yields:
        The path to write.

    Raises:
        OutputFailed: the file cannot be written; an existing file is as before.
    """
    target = path.resolve()
    is_special = target.exists() and not target.is_file()  # a device or a pipe, which must not be replaced
    home = Path(tempfile.gettempdir()) if is_special else target.parent
    unfinished = home / f"{_PREFIX}{os.getpid()}-{target.name}"
    try:
        with _translated(path, unfinished):
            yield unfinished
            if is_special:
                with unfinished.open("rb") as source, target.open("wb") as device:
                    shutil.copyfileobj(source, device)
            else:
                _sync(unfinished)
                unfinished.replace(target)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


@contextmanager
def replaced_folder(path: Path, last: Sequence[str] = ()) -> Iterator[Path]:
    """Give an empty folder to write to, and move its contents to the target at the end.

    A target that does not exist appears complete. In an existing one, each file is replaced by renaming; other files
    stay.

    Args:
        path: the folder, see :func:`check_output_folder`.
        last: names of files that make the folder valid, in the order in which they are written at the end; an existing
            one is removed first, so that a crash in between leaves a folder that is refused.

    Yields:
        The folder to write to.

    Raises:
        OutputFailed: the folder cannot be written.
    """
    exists = path.exists()
    home = path if exists else path.parent
    with _translated(path, home):
        unfinished = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
    try:
        with _translated(path, unfinished):
            yield unfinished
            files = sorted(each for each in unfinished.rglob("*") if each.is_file())
            for each in files:
                _sync(each)
            if exists:
                _move_files(unfinished, path, files, last)
            else:
                unfinished.chmod(0o777 & ~_umask())
                unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _move_files(unfinished: Path, path: Path, files: Sequence[Path], last: Sequence[str]) -> None:
    names = [each.relative_to(unfinished) for each in files]
    for name in last:
        (path / name).unlink(missing_ok=True)
    for each in sorted(names, key=lambda name: last.index(str(name)) if str(name) in last else -1):
        (path / each).parent.mkdir(parents=True, exist_ok=True)
        (unfinished / each).replace(path / each)


def _refuse_inputs(path: Path, inputs: Iterable[Path]) -> None:
    resolved = path.resolve()
    for each in inputs:
        if each.resolve() == resolved:
            raise ConfigurationError(str(path), "it is also an input of this command", "Name another --out.")


@contextmanager
def _translated(path: Path, unfinished: Path) -> Iterator[None]:
    """Translate errors of writing; other errors of the operating system, e.g. of a network, pass."""
    try:
        yield
    except OSError as error:
        named = str(error.filename or "")
        if error.errno in _NO_SPACE or error.errno in _WRITING or named.startswith((str(unfinished), str(path))):
            raise output_error(path, error) from error
        raise


def output_error(path: Path, error: OSError) -> OutputFailed:
    """Return the error to show when a result cannot be written."""
    if error.errno in _NO_SPACE:
        return OutputFailed(
            str(path), "no space is left on the device; nothing was replaced", "Free space, or name another --out."
        )
    return OutputFailed(
        str(path),
        f"it cannot be written ({error.strerror or error}); nothing was replaced",
        "Name a place that you may write to.",
    )


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output at once.

    Raises:
        OutputFailed: the reader has closed it, or what it leads to is full.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        _discard_stdout()
        if isinstance(error, BrokenPipeError):
            raise closed_stdout() from error
        raise OutputFailed(
            "standard output", f"it cannot be written ({error.strerror})", "Free space, or write to another file."
        ) from error


def closed_stdout() -> OutputFailed:
    """Return the error to show when the reader of standard output has gone; discard what is still buffered."""
    _discard_stdout()
    return OutputFailed(
        "standard output", "its reader closed it before all results were written", "Read it to the end."
    )


def _discard_stdout() -> None:
    """Direct standard output to nowhere: what is still buffered would fail again when the interpreter ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sync(path: Path) -> None:
    """Write a file's data to the disk, so that a rename never shows an empty file after a crash."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
