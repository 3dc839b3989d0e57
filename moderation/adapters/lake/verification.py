"""Verify the lake: are all files present, complete and unaltered?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from moderation.adapters.lake.files import LakeFile, is_temporary
from moderation.adapters.lake.manifest import (
    PartitionExtent,
    accepted_gaps,
    files,
    gaps_and_holes,
    holes_inside,
    partition_extents,
    read_archived_end,
)
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.sql.connection import Connection
from moderation.errors import LakeDamaged
from moderation.offsets import Range, TopicPartition, uncovered

Check = Literal["digest", "size"]
"""``digest`` reads every byte; ``size`` compares the numbers of bytes and rows, and misses altered bytes."""


def check_file(store: LakeStore, file: LakeFile, check: Check = "digest") -> None:
    """Compare a file with its row in the manifest.

    Raises:
        LakeDamaged: the file is missing or altered; the message names path and cause.
    """
    size_bytes = store.size(file.path)
    if size_bytes is None:
        raise _damaged(store, file, "it is missing")
    if size_bytes != file.bytes:
        raise _damaged(store, file, f"it has {size_bytes:,} bytes, the manifest says {file.bytes:,}")
    if check == "digest" and (digest := store.sha256(file.path)) != file.sha256:
        raise _damaged(store, file, f"its SHA-256 is {digest}, the manifest says {file.sha256}")
    with reading_file(store, file) as opened:
        footer = pq.read_metadata(opened)
    if footer.num_rows != file.rows:
        raise _damaged(store, file, f"it has {footer.num_rows:,} rows, the manifest says {file.rows:,}")


@contextmanager
def reading_file(store: LakeStore, file: LakeFile) -> Iterator[BinaryIO]:
    """Open a file for reading as Parquet while the block runs.

    Raises:
        LakeDamaged: the file is missing, or the block could not read it; the message names path and cause.
    """
    try:
        with store.open(file.path) as opened:
            yield opened
    except (pa.ArrowException, OSError) as error:
        raise _damaged(store, file, f"it cannot be read as Parquet: {str(error).splitlines()[0]}") from error


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that is in no row of the manifest, so that no reader sees it: what a killed archiver left, or works on.

    Attributes:
        path: relative to the lake.
        bytes: its size.
        is_temporary: it never got a name of its own.
    """

    path: str
    bytes: int
    is_temporary: bool


@dataclass(frozen=True, slots=True)
class MissingRange:
    """Offsets between two files of a partition that are in no file and no hole.

    They are explained if an operator accepted their loss.
    """

    topic_partition: TopicPartition
    first_offset: int
    next_offset: int
    is_explained: bool


@dataclass(frozen=True, slots=True)
class FileDefect:
    """A damaged file and the cause."""

    path: str
    cause: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of inspecting the lake.

    Attributes:
        lake_url: URL of the lake.
        manifest: files in the manifest.
        partitions: extent of each partition.
        missing: offsets between files.
        orphans: files that are not in the manifest.
        defects: damaged files; empty if files were not checked.
    """

    lake_url: str
    manifest: list[LakeFile]
    partitions: list[PartitionExtent]
    missing: list[MissingRange]
    orphans: list[Orphan]
    defects: list[FileDefect]

    @property
    def is_whole(self) -> bool:
        """Whether no file is damaged and all missing offsets are explained."""
        return not self.defects and all(each.is_explained for each in self.missing)


def inspect(
    store: LakeStore,
    connection: Connection,
    topics: Sequence[str],
    check: Check | None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Inspection:
    """Inspect the lake for some topics.

    Args:
        store: storage of the files.
        connection: to the manifest's database.
        topics: full names.
        check: how files are checked; None to skip the check.
        on_progress: called with a message for each checked file.
    """
    # List files first: a file that is archived meanwhile is then in the manifest, and not an orphan.
    sizes = {path: size_bytes for topic in topics for path, size_bytes in store.sizes(topic).items()}
    manifest = [file for topic in topics for file in files(connection, topic=topic)]
    return Inspection(
        store.url,
        manifest,
        partition_extents(manifest),
        missing_between(connection, manifest),
        orphans(sizes, manifest),
        [] if check is None else miscounted(connection, manifest) + defects(store, manifest, check, on_progress),
    )


def orphans(sizes: Mapping[str, int], manifest: list[LakeFile]) -> list[Orphan]:
    """Return files that are not in the manifest.

    Args:
        sizes: size of every file, listed before the manifest was read.
        manifest: all files of the same topics in the manifest.
    """
    paths = {file.path for file in manifest}
    return [Orphan(path, size_bytes, is_temporary(path)) for path, size_bytes in sizes.items() if path not in paths]


def missing_between(connection: Connection, manifest: list[LakeFile]) -> list[MissingRange]:
    """Return missing offsets between files, divided into accepted and unexplained ranges."""
    ranges = []
    for each in partition_extents(manifest):
        accepted = accepted_gaps(connection, each.topic_partition) if each.missing else []
        for missing in each.missing:
            expected = gaps_and_holes(connection, each.topic_partition, missing)
            parts = [(part, False) for part in uncovered(missing, expected)]
            lost = [part for gap in accepted for part in _common(missing, gap)]
            parts += [(part, True) for part in lost]
            ranges += [MissingRange(each.topic_partition, *part, is_explained) for part, is_explained in sorted(parts)]
    return ranges


def _common(one: Range, other: Range) -> list[Range]:
    lo, hi = max(one[0], other[0]), min(one[1], other[1])
    return [(lo, hi)] if lo < hi else []


def miscounted(connection: Connection, manifest: list[LakeFile]) -> list[FileDefect]:
    """Return files whose rows and holes do not add up to their offsets."""
    inside = holes_inside(connection, [file.path for file in manifest])
    damaged = []
    for file in manifest:
        missing = file.next_offset - file.first_offset - file.rows - inside.get(file.path, 0)
        if missing:
            damaged.append(FileDefect(file.path, f"{missing:,} of its offsets are neither rows nor in batch.holes"))
    return damaged


def defects(
    store: LakeStore, manifest: list[LakeFile], check: Check, on_progress: Callable[[str], None] = lambda _: None
) -> list[FileDefect]:
    """Check every file; return the damaged ones.

    Args:
        store: the lake.
        manifest: the files to check.
        check: how files are checked.
        on_progress: called with a message for each file.
    """
    damaged = []
    for number, file in enumerate(manifest, 1):
        on_progress(f"{number:,} of {len(manifest):,} files: {file.path}")
        try:
            check_file(store, file, check)
        except LakeDamaged as error:
            damaged.append(FileDefect(file.path, error.cause))
    return damaged


def require_whole(
    connection: Connection, partition_files: list[LakeFile], topic_partition: TopicPartition, wanted: Range
) -> None:
    """Check that files, holes and accepted gaps cover a range.

    Raises:
        LakeDamaged: offsets of the range are missing; the message names them.
    """
    covers = [(file.first_offset, file.next_offset) for file in partition_files]
    missing = uncovered(wanted, covers)
    if missing:
        missing = uncovered(wanted, covers + gaps_and_holes(connection, topic_partition, wanted))
    if missing:
        first, end = missing[0]
        later = end > (read_archived_end(connection, topic_partition) or 0)
        raise LakeDamaged(
            f"lake, {topic_partition}",
            f"offsets [{first}, {end}) are in no file",
            "Archive first: `moderation archive`." if later else "See `moderation lake verify`.",
        )


def _damaged(store: LakeStore, file: LakeFile, cause: str) -> LakeDamaged:
    return LakeDamaged(
        f"lake file {store.url_of(file.path)}",
        cause,
        "Restore it from a backup of the lake; `moderation lake verify` names every file that is not whole.",
    )
