"""What can go wrong with a stack that is otherwise configured well."""

from __future__ import annotations

from moderation.errors import ModerationError


class StackError(ModerationError):
    """A part of the local stack did not start, did not become ready, or did not stop."""
