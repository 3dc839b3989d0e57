"""Open files that may be compressed: gzip, Zstandard, bzip2, xz. The kind follows from the first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

from moderation.errors import DatasetError

MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
_SKIPPABLE_FRAME = b"\x2a\x4d\x18"  # of Zstandard, after a byte from 0x50 to 0x5f; pzstd writes them
LONGEST_WINDOW_BYTES = 2**31
"""Reddit dumps are compressed with a window of 2 GiB, which ``zstd`` itself refuses without ``--long=31``."""
_CHUNK_BYTES = 2_048  # Zstandard expands at most about 23,000 times, so that a chunk gives at most 47 MB


class _ZstdFile(io.RawIOBase):
    """Decompress a Zstandard stream of any number of frames; a stream that ends inside a frame is an error."""

    def __init__(self, raw: BinaryIO) -> None:
        import zstandard

        self._raw = raw
        self._new = zstandard.ZstdDecompressor(max_window_size=LONGEST_WINDOW_BYTES).decompressobj
        self._frame = self._new()
        self._is_inside = False
        self._ready = memoryview(b"")
        self._failed = zstandard.ZstdError

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        while not self._ready:
            chunk = self._raw.read(_CHUNK_BYTES)
            if not chunk:
                if self._is_inside:
                    raise EOFError("the compressed data ends early")
                return 0
            self._ready = memoryview(self._decompressed(chunk))
        target = memoryview(buffer)  # type: ignore[arg-type] # every buffer of readinto is writable
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()

    def _decompressed(self, chunk: bytes) -> bytes:
        parts = []
        while chunk:
            try:
                parts.append(self._frame.decompress(chunk))
            except self._failed as error:
                raise OSError(str(error)) from error
            self._is_inside = not self._frame.eof
            if self._is_inside:
                break
            chunk = self._frame.unused_data
            self._frame = self._new()
        return b"".join(parts)


def compression_of(head: bytes) -> str | None:
    """Return the compression that the first bytes of a file show; None for none."""
    if head[1:4] == _SKIPPABLE_FRAME and 0x50 <= head[0] <= 0x5F:
        return "zstd"
    return next((name for magic, name in MAGIC if head.startswith(magic)), None)


def decompressed(raw: BinaryIO, compression: str | None) -> BinaryIO:
    """Return a stream of the decompressed bytes; closing it closes ``raw``."""
    match compression:
        case "gzip":
            opened: io.BufferedIOBase = gzip.GzipFile(fileobj=raw)
        case "bzip2":
            opened = bz2.BZ2File(raw)
        case "xz":
            opened = lzma.LZMAFile(raw)  # noqa: SIM115 - the caller closes it
        case "zstd":
            opened = io.BufferedReader(_ZstdFile(raw), 256 * 1024)
        case _:
            return raw
    return cast(BinaryIO, opened)


DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile)
"""Errors of damaged or truncated compressed data, besides ``OSError``."""


def read_error(name: str, error: Exception) -> DatasetError:
    """Return the error to show when reading a file fails."""
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, EOFError):
        cause = "the compressed data ends early, so the file is incomplete"
    elif isinstance(error, DAMAGED) or (isinstance(error, OSError) and not error.strerror):
        cause = f"the compressed data is damaged ({cause})"
    return DatasetError(name, cause, "Copy or download the file again.")


class Counted(io.RawIOBase):
    """Count the bytes that are read from a file, for progress."""

    def __init__(self, raw: BinaryIO, on_read: Callable[[int], None]) -> None:
        self._raw = raw
        self._on_read = on_read

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: object) -> int:
        """Read into a buffer and count the bytes."""
        count = self._raw.readinto(buffer)  # type: ignore[attr-defined] # an opened file has it
        self._on_read(count)
        return int(count)

    def close(self) -> None:
        """Close the file."""
        self._raw.close()
        super().close()
