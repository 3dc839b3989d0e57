"""Identity of an input: two inputs with the same identity have the same arrivals."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from moderation.datasets.recorded import ACTIONS, ARRIVALS, COMMENTS
from stream.source.arrivals import unreadable_origin
from stream.source.plan import CsvExport, Generated, History, SendPlan


def identity_of(plan: SendPlan) -> str:
    """Describe the input uniquely: kind, name, digest of the files or configuration of the generator.

    Pace and limit are not part of it, because a resumed run may change them.

    Raises:
        DatasetError: a file cannot be read.
    """
    match plan.origin:
        case CsvExport(path):
            origin = f"CSV {path.name} sha256 {_digest(path)}"
        case History(folder):
            files = hashlib.sha256("".join(_digest(folder / name) for name in (COMMENTS, ARRIVALS, ACTIONS)).encode())
            origin = f"history {folder.resolve().name} sha256 {files.hexdigest()}"
        case Generated(config):
            fields = " ".join(f"{name}={value}" for name, value in asdict(config).items())
            origin = f"generator {fields}"
    shift = "" if plan.shift_to is None else f", {plan.shift_anchor} arrival shifted to {plan.shift_to}"
    return f"{origin}, {'with' if plan.actions else 'without'} actions, skipping {plan.skip}{shift}"


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable_origin(path, error) from error
