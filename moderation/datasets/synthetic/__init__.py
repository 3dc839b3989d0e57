"""A seeded generator of believable traffic: communities with rhythm and slang, offenders, faults, and moderators.

Everything is made up. One ``TrafficConfig`` gives the same bytes in any process: chance comes from seeded streams of
``random.Random`` only. Writing has one of its own, so faults, a raid, label noise and another removal policy leave
every other comment's text, author and event time as they are; the vocabulary drift does so until its day.
"""

from __future__ import annotations

from collections.abc import Iterator

from moderation.datasets.history import LabelledComment
from moderation.datasets.synthetic.arrival import Arrival, Injection
from moderation.datasets.synthetic.config import TrafficConfig
from moderation.datasets.synthetic.delivery import deliveries

__all__ = ["Arrival", "Injection", "TrafficConfig", "generate", "labelled_history"]


def generate(config: TrafficConfig) -> Iterator[Arrival]:
    """Generate the records of topics ``comments`` and ``actions``, in order of arrival.

    Streams: memory holds an hour of comments and the records still on their way, actions for at most two days.

    Args:
        config: what to generate; its construction raised ``ConfigurationError`` if it made no sense.

    Yields:
        Records by non-decreasing ``arrival_us``; the last actions trail the last day by up to 48 hours.
    """
    return (delivery.arrival for delivery in deliveries(config))


def labelled_history(config: TrafficConfig) -> Iterator[LabelledComment]:
    """The same traffic as training sees it: every comment record joined with the last action on its comment.

    Ordinary, late and edited records, each once; no duplicates, nothing broken or future-dated. Both versions of an
    edited comment carry the one action.

    Args:
        config: what to generate.

    Yields:
        Labelled comments by arrival time of the comment; the action may lie up to 48 hours further on.
    """
    for delivery in deliveries(config):
        if delivery.comment is not None:
            yield LabelledComment(delivery.comment, delivery.action)
