"""What every source yields: a comment and what a human did with it."""

from __future__ import annotations

from dataclasses import dataclass

from moderation.contracts import Action, ActionKind, Comment


@dataclass(frozen=True, slots=True)
class LabelledComment:
    """A comment and the last recorded action on it; no action means that it was kept.

    Attributes:
        comment: what was written.
        action: the last one on it.
        is_time_known: False where the source had no event time and one was made up.
    """

    comment: Comment
    action: Action | None
    is_time_known: bool = True

    @property
    def removed(self) -> bool:
        """The label: True when the last action removed the comment."""
        return self.action is not None and self.action.kind is ActionKind.REMOVE


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no comment: the file's line it ends on (from 1), and why."""

    line: int
    cause: str
