"""The latent kind of a comment, which determines its text and its probability of removal."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The true kind of a comment; it is not part of the record."""

    ORDINARY = "ordinary"
    QUESTION = "question"
    JOKE = "joke"
    ANECDOTE = "anecdote"
    HEATED = "heated"
    INSULT = "insult"
    SPAM = "spam"
    OFF_TOPIC = "off_topic"


KIND_WEIGHTS: dict[Kind, float] = {
    Kind.ORDINARY: 0.55,
    Kind.QUESTION: 0.13,
    Kind.JOKE: 0.07,
    Kind.ANECDOTE: 0.08,
    Kind.HEATED: 0.05,
    Kind.INSULT: 0.055,
    Kind.SPAM: 0.035,
    Kind.OFF_TOPIC: 0.03,
}

# Kinds that repeat offenders write most of.
BAD_KINDS = (Kind.INSULT, Kind.SPAM, Kind.OFF_TOPIC)

_REMOVED: dict[Kind, float] = {
    Kind.ORDINARY: 0.005,
    Kind.QUESTION: 0.005,
    Kind.JOKE: 0.06,
    Kind.ANECDOTE: 0.03,
    Kind.HEATED: 0.12,
    Kind.INSULT: 0.96,
    Kind.SPAM: 0.98,
    Kind.OFF_TOPIC: 0.88,
}
_REMOVED_AFTER_POLICY_CHANGE: dict[Kind, float] = _REMOVED | {
    Kind.JOKE: 0.02,
    Kind.ANECDOTE: 0.90,
    Kind.HEATED: 0.55,
}


def removal_probability(kind: Kind, strictness: float, label_noise: float, policy_changed: bool) -> float:
    """Return the probability that moderators remove a comment.

    Args:
        kind: the latent kind.
        strictness: exponent of the community; see ``Community.strictness``.
        label_noise: probability that a verdict is reversed, in [0, 0.5).
        policy_changed: True once the changed removal policy applies.

    Returns:
        r + noise·(1 - 2r) with r = 1 - (1 - p)^strictness, where p is what neutral moderators would remove.
    """
    neutral = (_REMOVED_AFTER_POLICY_CHANGE if policy_changed else _REMOVED)[kind]
    removed = 1 - float((1 - neutral) ** strictness)
    return removed + label_noise * (1 - 2 * removed)


def removal_reason(kind: Kind, anecdote_reason: str) -> str:
    """Return the reason of a removal; kinds that are normally kept have a general one."""
    if kind is Kind.ANECDOTE:
        return anecdote_reason
    return _REASONS[kind]


_REASONS: dict[Kind, str] = {
    Kind.ORDINARY: "other",
    Kind.QUESTION: "duplicate question",
    Kind.JOKE: "low-effort joke",
    Kind.HEATED: "uncivil",
    Kind.INSULT: "insult",
    Kind.SPAM: "spam",
    Kind.OFF_TOPIC: "off-topic",
}
