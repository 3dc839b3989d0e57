"""Where the files lie: a folder, or whatever fsspec has a name for. Nothing here knows what the files hold."""

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

from moderation.errors import ConfigurationError

_READ_BYTES = 4 * 1024 * 1024
_CLIENTS = ("aiobotocore", "aiohttp", "botocore")
"""What s3fs stands on. Errors of theirs that are no ``OSError`` come through it: no credentials, no answer."""


class DigestingFile(io.RawIOBase):
    """A file that is only appended to, whose SHA-256 and size are known when it is closed.

    Args:
        to: where the bytes go; closed by whoever opened it.
    """

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Append bytes."""
        view = memoryview(data)
        self._digest.update(view)
        self._to.write(view)
        self.size_bytes += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """How many bytes were written."""
        return self.size_bytes

    @property
    def sha256(self) -> str:
        """Of everything written so far, hexadecimal."""
        return self._digest.hexdigest()


class LakeStore:
    """The files below one address, named by paths relative to it.

    Args:
        url: a folder, or an address that fsspec knows, e.g. ``s3://bucket/lake``.

    Raises:
        ConfigurationError: the address is of a kind that fsspec does not know, or whose package is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self.fs, self._root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(
                f"lake {url}", f"fsspec cannot open it: {error}", "Mend MODERATION_LAKE_URL or install the package."
            ) from error
        self.url = url

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return isinstance(self.fs, LocalFileSystem)

    def full(self, path: str) -> str:
        """A path as the file system takes it."""
        return f"{self._root.rstrip('/')}/{path}"

    def url_of(self, path: str) -> str:
        """A path as DuckDB, Spark and pandas take it: absolute for a folder, else with its scheme."""
        full = self.full(path)
        return full if self.is_local else cast(str, self.fs.unstrip_protocol(full))

    @contextmanager
    def creating(self, path: str) -> Iterator[DigestingFile]:
        """Write a file that nobody else writes; on a disk for good when the block ends, gone when it fails.

        Raises:
            ConfigurationError: it cannot be written, e.g. because the disk is full.
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
        """Give a finished file its name; whole or not at all, and for good. A file of that name is replaced.

        Raises:
            ConfigurationError: it cannot be renamed, or is gone.
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
        # The error that led here is the one to hear of; the next run takes away what stays.
        with contextlib.suppress(OSError, ConfigurationError):
            self.remove(path)

    def remove(self, path: str) -> None:
        """Delete a file; one that is gone is no error.

        Raises:
            ConfigurationError: the store does not answer, or refuses.
        """
        with contextlib.suppress(FileNotFoundError), self._asking(path, "removed"):
            self.fs.rm_file(self.full(path))

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Every file below a folder, with its size in bytes; empty when there is no such folder.

        Raises:
            ConfigurationError: the store does not answer, or refuses.
        """
        self.fs.invalidate_cache()
        below = self.full(folder).rstrip("/")
        try:
            with self._asking(folder, "listed"):
                found = self.fs.find(below, detail=True)
        except FileNotFoundError:
            return {}
        files = {name: entry for name, entry in found.items() if name != below}  # an emptied folder of an object store
        return {name[len(self._root.rstrip("/")) + 1 :]: int(entry["size"]) for name, entry in sorted(files.items())}

    def size(self, path: str) -> int | None:
        """Bytes of a file; None when it is not there.

        Raises:
            ConfigurationError: the store does not answer, or refuses.
        """
        self.fs.invalidate_cache()
        try:
            with self._asking(path, "looked at"):
                return int(self.fs.info(self.full(path))["size"])
        except FileNotFoundError:
            return None

    def open(self, path: str) -> fsspec.spec.AbstractBufferedFile:
        """Open a file to read it.

        Raises:
            FileNotFoundError: it is gone.
            ConfigurationError: the store does not answer, or refuses.
        """
        with self._asking(path, "opened"):
            return self.fs.open(self.full(path), "rb")

    def sha256(self, path: str) -> str:
        """SHA-256 of a file, hexadecimal; read piece by piece; its errors are those of :meth:`open`."""
        digest = hashlib.sha256()
        with self.open(path) as file, self._asking(path, "read"):
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
            raise ConfigurationError(
                f"lake file {self.url_of(path)}",
                f"it cannot be written: {_words(error)}",
                "Mend the place or MODERATION_LAKE_URL, then archive again: nothing is lost.",
            ) from error

    @contextmanager
    def _asking(self, path: str, action: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            if not isinstance(error, OSError) and not _is_of_a_client(error):
                raise
            raise ConfigurationError(
                f"lake {self.url_of(path)}",
                f"it cannot be {action}: {_words(error)}",
                "Mend the place, its credentials or MODERATION_LAKE_URL, then try again.",
            ) from error


def _is_of_a_client(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in _CLIENTS


def _words(error: Exception) -> str:
    return ((error.strerror if isinstance(error, OSError) else None) or str(error)).rstrip(".")
