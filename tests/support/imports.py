"""Import one file and compare its rows."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

from moderation.datasets.history import LabelledComment
from moderation.datasets.importer import Import, Stated, find_inputs, import_files, parse_columns

MAY_1_US = 1_682_935_200_000_000  # 2023-05-01 10:00:00
ALL = ("left-out", "times")
Rows = list[tuple[str, str, int, bool]]


def read(path: Path, accepted: Collection[str] = (), **stated: Any) -> tuple[Import, list[LabelledComment]]:
    if "columns" in stated:
        stated["columns"] = parse_columns([stated["columns"]])
    needs_labels = stated.pop("needs_labels", True)
    imported = import_files(
        find_inputs([str(path)], io.BytesIO), Stated(**stated), needs_labels=needs_labels, accepted=accepted
    )
    return imported, list(imported.comments())


def plain(rows: list[LabelledComment]) -> Rows:
    return [(each.comment.comment_id, each.comment.body, each.comment.event_time_us, each.removed) for each in rows]
