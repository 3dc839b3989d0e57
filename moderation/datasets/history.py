"""Types that all data sets yield: labelled comments and bad rows."""

from __future__ import annotations

from dataclasses import dataclass

from moderation.contracts import Action, ActionKind, Comment


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a comment was read.

    Attributes:
        file: name of the file.
        line: line or row on which it begins, from 1.
        repair: what was changed to read it; None for nothing.
    """

    file: str
    line: int
    repair: str | None = None


@dataclass(frozen=True, slots=True)
class LabelledComment:
    """A comment and the last recorded action on it; no action means that it was kept.

    Attributes:
        comment: the comment.
        action: the last action on it.
        is_time_known: False if the data set has no event time, so that it is synthetic.
        origin: where it was read; None if it was generated.
        has_label: False if nothing says whether it was removed or kept.
    """

    comment: Comment
    action: Action | None
    is_time_known: bool = True
    origin: Origin | None = None
    has_label: bool = True

    @property
    def removed(self) -> bool:
        """The label: whether the last action removed the comment."""
        return self.action is not None and self.action.kind is ActionKind.REMOVE


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read: the line of the file on which it begins (from 1), and the cause."""

    line: int
    cause: str
