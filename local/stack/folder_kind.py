"""The kind of a data folder: which command created its stack, and so which commands may delete it.

The file ``kind.json`` in the folder names the kind. A folder of an earlier version has no such file and counts as that
of ``moderation up``.
"""

from __future__ import annotations

import json
from enum import StrEnum

from local.stack.layout import StackLayout
from moderation.errors import ConfigurationError

_MOST_NAMES = 5


class FolderKind(StrEnum):
    """What a data folder is for."""

    STACK = "stack"
    DEMO = "demo"
    CHAOS = "chaos"
    BENCH = "bench"


_CREATED_BY = {
    FolderKind.STACK: "moderation up",
    FolderKind.DEMO: "moderation demo",
    FolderKind.CHAOS: "moderation chaos",
    FolderKind.BENCH: "moderation bench",
}


def kind_of(layout: StackLayout) -> FolderKind | None:
    """Return the kind of a data folder; None if no stack was ever started in it.

    Raises:
        ConfigurationError: ``kind.json`` is damaged.
    """
    try:
        return FolderKind(json.loads(layout.kind_file.read_text(encoding="utf-8"))["kind"])
    except FileNotFoundError:
        is_stack = layout.state_file.exists() or layout.credentials_file.exists()
        return FolderKind.STACK if is_stack else None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            str(layout.kind_file),
            "the file is damaged, so it is unknown which command created the data folder",
            f'Write {{"kind": "…"}} into it; kinds: {", ".join(FolderKind)}.',
        ) from error


def claim(layout: StackLayout, kind: FolderKind) -> None:
    """Create a data folder, or check that it is one of this kind, before anything is written or deleted in it.

    ``moderation up`` also starts the stack of a demonstration, a benchmark or a chaos run; the kind stays.

    Raises:
        ConfigurationError: the folder belongs to a stack of another kind, or contains files that no stack created.
    """
    present = kind_of(layout)
    if present is not None:
        if kind not in (FolderKind.STACK, present):
            raise ConfigurationError(
                f"data folder {layout.root}",
                f"it contains the data of `{_CREATED_BY[present]}`",
                f"Name another --data-folder for `{_CREATED_BY[kind]}`.",
            )
    elif strangers := _strangers(layout, kind):
        raise ConfigurationError(
            f"data folder {layout.root}",
            f"it contains {', '.join(strangers)}, which no stack created",
            "Name another --data-folder: an empty one, or one that does not exist.",
        )
    if not layout.kind_file.exists():
        layout.root.mkdir(parents=True, exist_ok=True)
        layout.kind_file.write_text(json.dumps({"kind": present or kind}) + "\n", encoding="utf-8")


def require_stack(layout: StackLayout) -> None:
    """Check that a folder is a data folder, before its data are deleted.

    Raises:
        ConfigurationError: it contains folders with the names of a stack's, which no stack created.
    """
    if kind_of(layout) is None and (strangers := _strangers(layout, FolderKind.STACK)):
        raise ConfigurationError(
            f"folder {layout.root}",
            f"it is not the data folder of a stack, but contains {', '.join(strangers)}",
            "Name the --data-folder of the stack to delete.",
        )


def _strangers(layout: StackLayout, kind: FolderKind) -> list[str]:
    """Return names of what a new stack of this kind must not find in its folder.

    ``moderation up`` may share a folder with other files, such as the folders of benchmarks, but none of its own.
    """
    if not layout.root.exists():
        return []
    names = sorted(entry.name for entry in layout.root.iterdir())
    if kind is FolderKind.STACK:
        names = [name for name in names if layout.root / name in layout.folders]
    return [*names[:_MOST_NAMES], *(["…"] if len(names) > _MOST_NAMES else [])]
