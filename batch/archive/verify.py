"""Verify the lake: the size of every file, and the bytes of new files and of those that were read longest ago.

A run reads a bounded number of bytes, so that its duration does not grow with the lake; the following runs continue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batch.progress import OnProgress, no_progress
from moderation.adapters.lake.file_checks import note_checked, read_checks
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.manifest import files
from moderation.adapters.lake.ownership import identity_of, read_owner, require_owner
from moderation.adapters.lake.schema import ARCHIVED
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.verification import (
    FileDefect,
    MissingRange,
    check_file,
    miscounted,
    missing_between,
    orphans,
)
from moderation.adapters.sql.connection import connected
from moderation.errors import LakeDamaged
from moderation.settings import Settings, required
from moderation.timestamps import now_us

GIBIBYTE = 1024**3
MOST_BYTES = 64 * GIBIBYTE
"""Bytes that a run reads unless stated."""
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class LakeCheck:
    """The result of a run.

    Attributes:
        lake_url: URL of the lake.
        files: number of files in the manifest.
        read: number of files whose bytes were read.
        read_bytes: bytes of them.
        defects: damaged files.
        missing: offsets between files that are in no file and no hole, and that no operator accepted as lost.
        orphans: number of files of the topics that are not in the manifest.
        oldest_check_us: when the file that was read longest ago was read; None if a file was never read.
    """

    lake_url: str
    files: int
    read: int
    read_bytes: int
    defects: list[FileDefect]
    missing: list[MissingRange]
    orphans: int
    oldest_check_us: int | None

    @property
    def failed(self) -> str | None:
        """What is damaged or missing, with the first names; None if nothing is."""
        causes = [f"{each.path}: {each.cause}" for each in self.defects]
        causes += [
            f"{each.topic_partition}: offsets [{each.first_offset}, {each.next_offset}) are in no file"
            for each in self.missing
        ]
        if not causes:
            return None
        more = f", and {len(causes) - _MOST_NAMED:,} more" if len(causes) > _MOST_NAMED else ""
        return "; ".join(causes[:_MOST_NAMED]) + more

    def require_whole(self) -> None:
        """Raise an error if the lake is damaged.

        Raises:
            LakeDamaged: files are damaged or offsets are missing; the message names the first of them.
        """
        if self.failed is not None:
            raise LakeDamaged(
                f"lake {self.lake_url}",
                self.failed,
                "Restore the files from a backup of the lake; `moderation lake verify` names every one.",
            )

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields: counts, bytes and times, and the first damaged files."""
        return {
            "files": self.files,
            "read": self.read,
            "read_bytes": self.read_bytes,
            "defects": [{"path": each.path, "cause": each.cause} for each in self.defects[:_MOST_NAMED]],
            "damaged": len(self.defects),
            "missing": len(self.missing),
            "orphans": self.orphans,
            "oldest_check_us": self.oldest_check_us,
        }


def files_to_read(manifest: Sequence[LakeFile], checks: Mapping[str, int], most_bytes: int) -> list[LakeFile]:
    """Return the files whose bytes a run reads: those never read, then those read longest ago; at least one.

    Args:
        manifest: all files.
        checks: when each file was read last, by path, microseconds since the epoch.
        most_bytes: bound of their bytes.
    """
    chosen: list[LakeFile] = []
    left = most_bytes
    for file in sorted(manifest, key=lambda each: (checks.get(each.path, -1), each.day, each.path)):
        if chosen and file.bytes > left:
            break
        chosen.append(file)
        left -= file.bytes
    return chosen


def verify_lake(
    settings: Settings, *, most_bytes: int = MOST_BYTES, on_progress: OnProgress = no_progress
) -> LakeCheck:
    """Verify the lake. The run reads the lake and changes nothing but ``batch.file_checks``.

    Args:
        settings: where the lake and the manifest are.
        most_bytes: how many bytes are read to compare SHA-256; at least one file is read.
        on_progress: receives one line for each file that is read.

    Raises:
        LakeRefused: the lake belongs to another database.
        Unavailable: the database or the storage does not answer.
    """
    topics = [settings.topic_prefix + name for name in ARCHIVED]
    store = LakeStore(settings.lake_url)
    with connected(required(settings.database_url, "database_url"), name="moderation verify") as connection:
        require_owner(store, read_owner(store), identity_of(connection))
        # Files are listed first: one that is archived meanwhile is then in the manifest, and not an orphan.
        sizes = {path: size_bytes for topic in topics for path, size_bytes in store.sizes(topic).items()}
        manifest = [file for topic in topics for file in files(connection, topic=topic)]
        defects = [defect for file in manifest if (defect := _by_size(store, file, sizes)) is not None]
        damaged = {each.path for each in defects}
        checks = read_checks(connection)
        chosen = files_to_read([file for file in manifest if file.path not in damaged], checks, most_bytes)
        for number, file in enumerate(chosen, 1):
            on_progress(f"{number:,} of {len(chosen):,} files: {file.path}")
            try:
                check_file(store, file)
            except LakeDamaged as error:
                defects.append(FileDefect(file.path, error.cause))
                continue
            checks[file.path] = now_us()
            note_checked(connection, file.path, checks[file.path])
        return LakeCheck(
            store.url,
            len(manifest),
            len(chosen),
            sum(file.bytes for file in chosen),
            [*miscounted(connection, manifest), *defects],
            [each for each in missing_between(connection, manifest) if not each.is_explained],
            len(orphans(sizes, manifest)),
            _oldest(manifest, checks),
        )


def _oldest(manifest: Sequence[LakeFile], checks: Mapping[str, int]) -> int | None:
    times_us = [checks.get(file.path) for file in manifest]
    known = [time_us for time_us in times_us if time_us is not None]
    return min(known, default=None) if len(known) == len(times_us) else None


def _by_size(store: LakeStore, file: LakeFile, sizes: Mapping[str, int]) -> FileDefect | None:
    """Return the defect of a file that is missing or has another size; None if there is none."""
    size_bytes = sizes.get(file.path)
    if size_bytes is None:
        size_bytes = store.size(file.path)  # archived after the listing, or missing
    if size_bytes is None:
        return FileDefect(file.path, "it is missing")
    if size_bytes != file.bytes:
        return FileDefect(file.path, f"it has {size_bytes:,} bytes, the manifest says {file.bytes:,}")
    return None
