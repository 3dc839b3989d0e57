"""A seeded generator of synthetic traffic: communities, authors, offenders, faults, and moderators.

Equal configurations give equal bytes in any process: all randomness comes from seeded ``random.Random`` streams.
Writing has a separate stream, so faults, a raid, label noise and another removal policy do not change text, author or
event time of other comments; the vocabulary drift changes them from its day on.
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

    Memory use is bounded: an hour of comments, records in delivery, and actions of at most two days.

    Args:
        config: the configuration.

    Yields:
        Records by non-decreasing ``arrival_us``; the last actions arrive up to 48 hours after the last day.
    """
    return (delivery.arrival for delivery in deliveries(config))


def labelled_history(config: TrafficConfig) -> Iterator[LabelledComment]:
    """Generate the same traffic as labelled comments: each comment record with the last action on its comment.

    Contains ordinary, late and edited records once; no duplicate, broken or future-dated ones. Both versions of an
    edited comment have the same action.

    Args:
        config: the configuration.

    Yields:
        Labelled comments by arrival time of the comment; the action may be up to 48 hours later.
    """
    for delivery in deliveries(config):
        if delivery.comment is not None:
            yield LabelledComment(delivery.comment, delivery.action)
