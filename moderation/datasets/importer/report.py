"""What an import found: rows used, rows left out by reason, what was made up or repaired, the first rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from moderation.timestamps import moment_of

SHOWN_ROWS = 5
SHOWN_LEFT_OUT = 10
SHOWN_VALUES = 20
SAMPLED_TEXTS = 300
SAMPLED_CHARACTERS = 1_000


class Reason(StrEnum):
    """Why a row is left out; the value is what reports call it."""

    UNREADABLE = "unreadable"
    REPEATED = "repeated"
    BOTH_LABELS = "both labels"
    TEXT_REMOVED = "text was removed"
    NO_TEXT = "no text"
    NO_LABEL = "no label"
    IMMATURE = "no mature label"
    UNKNOWN_LABEL = "unknown label"
    NO_TIME = "no time"
    LOST_ID = "incomplete id"


class Repair(StrEnum):
    """What was changed to read a row that is used; the value is what reports call it."""

    QUOTE = "an unclosed quotation mark read as text"
    ENCODING = "text that is not UTF-8 read as Windows-1252"
    REPLACED = "characters that the encoding does not have read as U+FFFD"
    TEXT = "text cut at 40,000 characters, or NUL and half characters replaced"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is left out: its file, the line or row on which it begins (from 1), the reason and the cause."""

    file: str
    line: int
    reason: Reason
    cause: str


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row as the importer understands it. ``removed`` is None without a label."""

    comment_id: str
    community: str
    body: str
    event_time_us: int
    is_time_known: bool
    removed: bool | None

    def fields(self) -> dict[str, Any]:
        """Return the row as JSON fields."""
        return {
            "comment_id": self.comment_id,
            "community": self.community,
            "body": self.body,
            "event_time": moment_of(self.event_time_us).isoformat(),
            "is_time_known": self.is_time_known,
            "removed": self.removed,
        }


@dataclass(slots=True)
class ImportReport:
    """Counts of an import, filled while the rows are read.

    Attributes:
        rows: rows of all files.
        used: rows that become comments.
        removed: used rows whose label is removed.
        unlabelled: used rows without a label; 0 if labels are required.
        times_made_up: used rows whose time is made up, because no column has it.
        left_out: rows that are left out, by reason.
        repaired: used rows that were changed, by kind.
        first_rows: the first rows as understood.
        first_left_out: the first rows that are left out.
        first_texts: beginnings of the texts of the first rows, for a guess of their language.
        label_values: labels that are neither removed nor kept, with their counts.
    """

    rows: int = 0
    used: int = 0
    removed: int = 0
    unlabelled: int = 0
    times_made_up: int = 0
    left_out: Counter[Reason] = field(default_factory=Counter)
    repaired: Counter[Repair] = field(default_factory=Counter)
    first_rows: list[ShownRow] = field(default_factory=list)
    first_left_out: list[LeftOut] = field(default_factory=list)
    first_texts: list[str] = field(default_factory=list)
    label_values: Counter[str] = field(default_factory=Counter)

    @property
    def left_out_share(self) -> float:
        """Share of the rows that are left out, 0 to 1."""
        return self.left_out.total() / self.rows if self.rows else 0.0

    def leave_out(self, row: LeftOut) -> None:
        """Count a row that is left out, and store it if it is among the first."""
        self.left_out[row.reason] += 1
        if len(self.first_left_out) < SHOWN_LEFT_OUT:
            self.first_left_out.append(row)

    def reasons(self) -> str:
        """Return the counts by reason as text, the largest first."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.most_common())

    def fields(self) -> dict[str, Any]:
        """Return the counts as JSON fields, without texts of comments."""
        return {
            "rows": self.rows,
            "used": self.used,
            "removed": self.removed,
            "unlabelled": self.unlabelled,
            "times_made_up": self.times_made_up,
            "left_out": {str(reason): count for reason, count in sorted(self.left_out.items())},
            "repaired": {str(repair): count for repair, count in sorted(self.repaired.items())},
        }
