"""Simulated moderators: removals hours after a comment, and a random audit of kept comments."""

from __future__ import annotations

import math
from random import Random

from moderation.contracts import Action, ActionKind, Comment
from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.config import HOUR_US
from moderation.datasets.synthetic.kinds import Kind, removal_probability, removal_reason

AUDIT_PROBABILITY = 0.02
_MEDIAN_DELAY_US = 3 * HOUR_US
_DELAY_SIGMA = 0.9
_MOST_DELAY_US = 47 * HOUR_US
_READING_US = 60_000_000


class Moderators:
    """The moderators of all communities.

    Args:
        label_noise: see ``TrafficConfig``.
        rng: random stream.
    """

    def __init__(self, label_noise: float, rng: Random) -> None:
        self._label_noise = label_noise
        self._rng = rng

    def remove(self, kind: Kind, community: Community, policy_changed: bool) -> bool:
        """Draw whether a comment of this kind will be removed."""
        chance = removal_probability(kind, community.strictness, self._label_noise, policy_changed)
        return self._rng.random() < chance

    def action(
        self, comment: Comment, kind: Kind, community: Community, removed: bool, seen_from_us: int
    ) -> Action | None:
        """Create the action on a comment.

        Args:
            comment: last version of the comment.
            kind: latent kind, which determines the reason of a removal.
            community: community of the comment.
            removed: the verdict, from :meth:`remove`.
            seen_from_us: when the comment arrived, microseconds since the epoch.

        Returns:
            A removal, recorded with certainty; for 2 % of kept comments the approval of an audit; else None.
        """
        if not removed and self._rng.random() >= AUDIT_PROBABILITY:
            return None
        delay_us = min(_MOST_DELAY_US, int(self._rng.lognormvariate(math.log(_MEDIAN_DELAY_US), _DELAY_SIGMA)))
        return Action(
            comment_id=comment.comment_id,
            kind=ActionKind.REMOVE if removed else ActionKind.APPROVE,
            moderator_key=f"{community.name}-mod-{1 + int(self._rng.random() ** 2 * community.moderators)}",
            reason=removal_reason(kind, community.anecdote_reason) if removed else "audit",
            action_time_us=max(comment.event_time_us + delay_us, seen_from_us + _READING_US),
            inclusion_probability=1.0 if removed else AUDIT_PROBABILITY,
        )
