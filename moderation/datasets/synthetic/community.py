"""The type of a synthetic community."""

from __future__ import annotations

from dataclasses import dataclass

from moderation.datasets.synthetic.kinds import Kind


@dataclass(frozen=True, slots=True)
class Community:
    """Topics, rhythm and moderation of a synthetic community.

    Attributes:
        name: value of ``community``.
        traffic_share: share of all comments, in (0, 1]; the shares of all communities add up to 1.
        strictness: a comment kept with probability q by neutral moderators is kept with q to this power.
        moderators: number of moderators.
        peak_hour: hour of the day (UTC) with most traffic, 0 to 23.
        kind_weights: relative frequencies of latent kinds that differ from ``kinds.KIND_WEIGHTS``.
        anecdote_reason: reason of moderators for removing an anecdote.
        topics: singular nouns, most frequent first.
        acts: verb phrases in the base form.
        people: singular nouns for persons.
        places: names that fit after "at".
        statements: phrase templates of ordinary comments.
        questions: phrase templates of questions.
        anecdotes: phrase templates of personal stories.
        drifted_topics: topics after the vocabulary drift.
    """

    name: str
    traffic_share: float
    strictness: float
    moderators: int
    peak_hour: int
    kind_weights: dict[Kind, float]
    anecdote_reason: str
    topics: tuple[str, ...]
    acts: tuple[str, ...]
    people: tuple[str, ...]
    places: tuple[str, ...]
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    anecdotes: tuple[str, ...]
    drifted_topics: tuple[str, ...]
