"""What every source yields: a comment and what a human did with it."""

from __future__ import annotations

from dataclasses import dataclass

from moderation.contracts import Action, ActionKind, Comment


@dataclass(frozen=True, slots=True)
class LabelledComment:
    """A comment and the last recorded action on it; no action means that it was kept."""

    comment: Comment
    action: Action | None

    @property
    def removed(self) -> bool:
        """The label: True when the last action removed the comment."""
        return self.action is not None and self.action.kind is ActionKind.REMOVE


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no comment: the file's line it ends on (from 1), and why."""

    line: int
    cause: str
