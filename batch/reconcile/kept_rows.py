"""Recomputed records on disk, kept by everything that they depend on, so that each file of the lake is scored once.

The folder may be deleted at any time. Files that no run has used for a while are deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

from batch.reconcile.file_tasks import FileTask
from moderation.adapters.model_folder.folder import OpenModel
from moderation.text import KERNEL_VERSION
from moderation.timestamps import DAY_US

FORMAT = 2
"""Increase it when recomputation writes other columns, or computes them otherwise."""
_LIST = "files.json"
_INCOMING = "incoming-"
_OWN = re.compile(rf"[0-9a-f]{{64}}|{_INCOMING}.+")  # a killed process leaves the second
_DAY_SECONDS = DAY_US // 1_000_000


def key_of(task: FileTask, open_version: Callable[[str], OpenModel]) -> str:
    """Return the SHA-256 of everything that the recomputed records of a file depend on.

    Args:
        task: the file with its inputs.
        open_version: opens a model version by its number.
    """
    file, spans = task.file, _spans(task)
    first, end = file.first_offset, file.next_offset
    models = {version: _model(open_version(version)) for version in sorted(versions_of(task))}
    inputs = {
        "format": FORMAT,
        "kernel": KERNEL_VERSION,
        "file": [str(file.topic_partition.topic_id), file.topic_partition.partition, file.sha256],
        "range": [task.start_us, task.end_us],
        "maximum": list(task.maximum_before),
        "resets": [list(each) for each in task.resets],
        "spans": spans,
        "models": models,
        "rules": [(offset, rules.version, rules.earliest_event_us) for offset, rules in task.rules],
        "replays": {offset: astuple(task.replays[offset]) for offset in sorted(task.replays) if first <= offset < end},
        "decided_next": min(max(task.decided_next, first), end),
        "quarantined": sorted(task.quarantined.items()),
        "letters": sorted(task.letters.items()),
        "modes": [task.has_reasons, task.unread_only],
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def versions_of(task: FileTask) -> set[str]:
    """Return the versions that may score records of a file."""
    return {version for _, version, _ in _spans(task)}


def _spans(task: FileTask) -> list[tuple[int, str, str | None]]:
    """Return the first offset, number and served digest of each version that may score records of a file."""
    first = task.file.first_offset
    inside = [each for each in task.served if each.from_offset < task.file.next_offset]
    before = [each for each in inside if each.from_offset <= first]
    return [
        *([] if before else [(first, task.first_version, None)]),
        *(
            (max(each.from_offset, first), each.versions.model_version, each.versions.model_digest)
            for each in (*before[-1:], *inside[len(before) :])
        ),
    ]


def _model(opened: OpenModel) -> list[str]:
    """Return the digests of a model, of its card, which has those of policy and kernel, and of its exploration key."""
    card = json.dumps(dict(opened.card), sort_keys=True)
    return [
        opened.model_digest,
        *(hashlib.sha256(each).hexdigest() for each in (card.encode(), opened.exploration_key or b"")),
    ]


class KeptRows:
    """Files of recomputed records by key.

    Args:
        folder: created on first use.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, key: str, output: Path) -> int | None:
        """Copy the files of a key beside an output; return its number of records, None without undamaged files.

        Args:
            key: see :func:`key_of`.
            output: Parquet file to write; files beside it have its stem in their names.
        """
        kept = self._folder / key
        try:
            listed: dict[str, Any] = json.loads((kept / _LIST).read_bytes())
            contents = {name: (kept / name).read_bytes() for name in listed["files"]}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if any(hashlib.sha256(content).hexdigest() != listed["files"][name] for name, content in contents.items()):
            return None
        for name, content in contents.items():
            (output.parent / name.replace("ROWS", output.stem)).write_bytes(content)
        with contextlib.suppress(OSError):
            os.utime(kept)
        return int(listed["rows"])

    def store(self, key: str, output: Path, rows: int) -> None:
        """Keep an output with the files beside it; a full disk or another process that was first changes nothing."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=_INCOMING, dir=self._folder) as scratch:
                incoming = Path(scratch, "rows")
                incoming.mkdir()
                digests = {}
                for path in (output, *sorted(output.parent.glob(f"_*-{output.stem}.*"))):
                    digests[self._add(path, output.stem, incoming)] = _sha256(path)
                (incoming / _LIST).write_text(json.dumps({"rows": rows, "files": digests}))
                incoming.rename(self._folder / key)

    def forget(self, days: int) -> int:
        """Delete what no run has used for this number of days; return how many keys were deleted."""
        oldest, deleted = time.time() - days * _DAY_SECONDS, 0
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            with contextlib.suppress(OSError):
                if _OWN.fullmatch(path.name) and path.stat().st_mtime < oldest:
                    shutil.rmtree(path)
                    deleted += 1
        return deleted

    @staticmethod
    def _add(path: Path, stem: str, incoming: Path) -> str:
        name = path.name.replace(stem, "ROWS")
        shutil.copyfile(path, incoming / name)
        return name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
