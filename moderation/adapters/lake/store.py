"""Storage of the lake: a folder or any fsspec file system, independent of the contents of the files."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from moderation.errors import ConfigurationError, ModerationError, StoreUnavailable

_READ_BYTES = 4 * 1024 * 1024
_CLIENTS = ("aiobotocore", "aiohttp", "botocore")
_REFUSALS = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError)
"""Errors of a wrong path or of missing rights."""
"""Libraries of s3fs, which passes on errors of theirs that are not ``OSError``, e.g. missing credentials."""


class DigestingFile(io.RawIOBase):
    """An append-only file that computes its SHA-256 and size.

    Args:
        to: receives the bytes; the caller closes it.
    """

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Append bytes; return their number."""
        view = memoryview(data)
        self._digest.update(view)
        self._to.write(view)
        self.size_bytes += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """The number of bytes written."""
        return self.size_bytes

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes written so far, hexadecimal."""
        return self._digest.hexdigest()


class LakeStore:
    """The files below a URL, named by relative paths.

    Args:
        url: a folder, or an address that fsspec knows, e.g. ``s3://bucket/lake``.

    Raises:
        ConfigurationError: fsspec does not know the scheme, or its package is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self.fs, self._root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(
                f"lake {url}", f"fsspec cannot open it: {error}", "Fix MODERATION_LAKE_URL or install the package."
            ) from error
        self.url = url

    @property
    def is_local(self) -> bool:
        """Whether it is a local folder."""
        return isinstance(self.fs, LocalFileSystem)

    def full(self, path: str) -> str:
        """The full path for the file system."""
        return f"{self._root.rstrip('/')}/{path}"

    def url_of(self, path: str) -> str:
        """The path or URL for DuckDB, Spark and pandas: absolute for a folder, else with its scheme."""
        full = self.full(path)
        return full if self.is_local else cast(str, self.fs.unstrip_protocol(full))

    @contextmanager
    def creating(self, path: str) -> Iterator[DigestingFile]:
        """Create a file; it is durable when the block ends, and removed if the block fails.

        Raises:
            ConfigurationError: the file cannot be written, e.g. because the disk is full.
        """
        full = self.full(path)
        try:
            with self._writing(path):
                self.fs.makedirs(self.fs._parent(full), exist_ok=True)
                with self.fs.open(full, "wb") as raw:
                    yield DigestingFile(raw)
                    raw.flush()
                    if self.is_local:
                        os.fsync(raw.fileno())
        except BaseException:
            self._remove_quietly(path)
            raise

    def publish(self, temporary: str, path: str) -> None:
        """Rename a finished file atomically and durably; an existing file of that name is replaced.

        Raises:
            ConfigurationError: the file cannot be renamed, or is missing.
        """
        with self._writing(path):
            self._publish(temporary, path)

    def _publish(self, temporary: str, path: str) -> None:
        full = self.full(path)
        self.fs.makedirs(self.fs._parent(full), exist_ok=True)
        if not self.is_local:
            self.fs.mv(self.full(temporary), full)
            return
        os.replace(self.full(temporary), full)
        for folder in {self.fs._parent(full), self.fs._parent(self.fs._parent(full))}:
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _remove_quietly(self, path: str) -> None:
        # The original error matters more; the next run removes the file.
        with contextlib.suppress(OSError, ConfigurationError):
            self.remove(path)

    def remove(self, path: str) -> None:
        """Delete a file if it exists.

        Raises:
            StoreUnavailable: the storage does not answer.
            ConfigurationError: it refuses.
        """
        with contextlib.suppress(FileNotFoundError), self._reading(path, "removed"):
            self.fs.rm_file(self.full(path))

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Sizes of all files below a folder, in bytes; empty if there is no such folder.

        Raises:
            StoreUnavailable: the storage does not answer.
            ConfigurationError: it refuses.
        """
        self.fs.invalidate_cache()
        below = self.full(folder).rstrip("/")
        try:
            with self._reading(folder, "listed"):
                entries = self.fs.find(below, detail=True)
        except FileNotFoundError:
            return {}
        files = {
            name: entry for name, entry in entries.items() if name != below
        }  # an emptied folder of an object store
        return {name[len(self._root.rstrip("/")) + 1 :]: int(entry["size"]) for name, entry in sorted(files.items())}

    def size(self, path: str) -> int | None:
        """Size of a file in bytes; None if it does not exist.

        Raises:
            StoreUnavailable: the storage does not answer.
            ConfigurationError: it refuses.
        """
        self.fs.invalidate_cache()
        try:
            with self._reading(path, "looked at"):
                return int(self.fs.info(self.full(path))["size"])
        except FileNotFoundError:
            return None

    def open(self, path: str) -> fsspec.spec.AbstractBufferedFile:
        """Open a file for reading.

        Raises:
            FileNotFoundError: the file does not exist.
            StoreUnavailable: the storage does not answer.
            ConfigurationError: it refuses.
        """
        with self._reading(path, "opened"):
            return self.fs.open(self.full(path), "rb")

    def sha256(self, path: str) -> str:
        """Compute the SHA-256 of a file, hexadecimal. Raises the errors of :meth:`open`."""
        digest = hashlib.sha256()
        with self.open(path) as file, self._reading(path, "read"):
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
        return digest.hexdigest()

    @contextmanager
    def _writing(self, path: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not isinstance(error, OSError) and not _is_of_a_client(error):
                raise
            raise _kind_of(error)(
                f"lake file {self.url_of(path)}",
                f"it cannot be written: {_message(error)}",
                "Fix the storage or MODERATION_LAKE_URL, then archive again: nothing is lost.",
            ) from error

    @contextmanager
    def _reading(self, path: str, action: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            if not isinstance(error, OSError) and not _is_of_a_client(error):
                raise
            raise _kind_of(error)(
                f"lake {self.url_of(path)}",
                f"it cannot be {action}: {_message(error)}",
                "Fix the storage, its credentials or MODERATION_LAKE_URL, then try again.",
            ) from error


def _kind_of(error: Exception) -> type[ModerationError]:
    """Return ConfigurationError for a wrong path or missing rights, StoreUnavailable for what another try may do."""
    return ConfigurationError if isinstance(error, _REFUSALS) else StoreUnavailable


def _is_of_a_client(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in _CLIENTS


def _message(error: Exception) -> str:
    return ((error.strerror if isinstance(error, OSError) else None) or str(error)).rstrip(".")
