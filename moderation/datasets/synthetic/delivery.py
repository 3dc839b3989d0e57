"""Deliver written comments: add delays, injected faults and actions, in order of arrival."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from random import Random

from moderation.contracts import Action, Comment, to_json
from moderation.datasets.synthetic.arrival import Arrival, Injection
from moderation.datasets.synthetic.breakage import BREAKAGES
from moderation.datasets.synthetic.config import DAY_US, HOUR_US, TrafficConfig
from moderation.datasets.synthetic.moderators import Moderators
from moderation.datasets.synthetic.traffic import Traffic, WrittenComment
from moderation.timestamps import MINUTE_US, SECOND_US

_MEAN_DELAY_US = 2 * SECOND_US
_MOST_DELAY_US = MINUTE_US
_LATE_US = (20 * MINUTE_US, 6 * HOUR_US)
_AGAIN_US = (SECOND_US, MINUTE_US)
_EDIT_US = (2 * MINUTE_US, 30 * MINUTE_US)
_FUTURE_US = (10 * MINUTE_US, DAY_US)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An arrival with its comment and action.

    Attributes:
        arrival: the record that arrives.
        comment: the comment, if this is its first record and neither broken nor future-dated.
        action: the last action on the comment, which may arrive later.
    """

    arrival: Arrival
    comment: Comment | None = None
    action: Action | None = None


def deliveries(config: TrafficConfig) -> Iterator[Delivery]:
    """Yield all deliveries of a configuration by arrival time; at most two days of actions are in memory."""
    post = _Post(config)
    pending: list[tuple[int, int, Delivery]] = []
    sequence = 0
    for hour_end_us, written in post.traffic.hours():
        for each in written:
            for delivery in post.handed_in(each):
                # The sequence number breaks ties, so that deliveries are never compared.
                heapq.heappush(pending, (delivery.arrival.arrival_us, sequence, delivery))
                sequence += 1
        # Comments of later hours cannot arrive before those hours begin.
        while pending and pending[0][0] < hour_end_us:
            yield heapq.heappop(pending)[2]
    while pending:
        yield heapq.heappop(pending)[2]


class _Post:
    """Turns written comments into deliveries of comments and actions."""

    def __init__(self, config: TrafficConfig) -> None:
        self.traffic = Traffic(config)
        self._config = config
        self._rng = Random(f"{config.seed}/delivery")
        # Actions have a separate random stream, so that verdicts do not change the arrivals of comments.
        self._action_rng = Random(f"{config.seed}/moderation")
        self._moderators = Moderators(config.label_noise, self._action_rng)
        self._breakages = cycle(BREAKAGES.values())
        self._limits = _cumulative(config)

    def handed_in(self, written: WrittenComment) -> list[Delivery]:
        """Create all deliveries of one written comment."""
        fate = None if written.is_raid else self._fate()
        comment = written.comment
        arrival_us = comment.event_time_us + _delay_us(self._rng)
        if fate is Injection.BROKEN:
            return [_refused(comment, arrival_us, next(self._breakages)(comment), fate)]
        if fate is Injection.FUTURE_DATED:
            ahead = replace(comment, event_time_us=arrival_us + self._between(_FUTURE_US))
            return [_refused(comment, arrival_us, to_json(ahead), fate)]
        removed = self._moderators.remove(written.kind, written.community, self._is_policy_changed(written.day))
        versions: list[tuple[int, Comment, Injection | None]] = [(arrival_us, comment, None)]
        if fate is Injection.LATE:
            versions = [(comment.event_time_us + self._between(_LATE_US), comment, fate)]
        if fate is Injection.EDITED:
            edited = self.traffic.edited(written, comment.event_time_us + self._between(_EDIT_US))
            versions.append((edited.event_time_us + _delay_us(self._rng), edited, fate))
        seen_us, last, _ = versions[-1]
        action = self._moderators.action(last, written.kind, written.community, removed, seen_us)
        delivered = [
            Delivery(_comment_arrival(at_us, version, injected, removed), version, action)
            for at_us, version, injected in versions
        ]
        if fate is Injection.DUPLICATE:
            again_us = arrival_us + self._between(_AGAIN_US)
            delivered.append(Delivery(_comment_arrival(again_us, comment, fate, removed)))
        if action is not None:
            at_us = action.action_time_us + _delay_us(self._action_rng)
            delivered.append(Delivery(Arrival(at_us, "actions", action.comment_id, to_json(action), None, None)))
        return delivered

    def _fate(self) -> Injection | None:
        draw = self._rng.random()
        return next((injection for limit, injection in self._limits if draw < limit), None)

    def _between(self, limits_us: tuple[int, int]) -> int:
        return self._rng.randint(*limits_us)

    def _is_policy_changed(self, day: int) -> bool:
        return self._config.policy_change_from_day is not None and day >= self._config.policy_change_from_day


def _delay_us(rng: Random) -> int:
    return min(_MOST_DELAY_US, int(rng.expovariate(1 / _MEAN_DELAY_US)))


def _cumulative(config: TrafficConfig) -> list[tuple[float, Injection]]:
    limits = []
    total = 0.0
    for share, injection in (
        (config.late_share, Injection.LATE),
        (config.duplicate_share, Injection.DUPLICATE),
        (config.edit_share, Injection.EDITED),
        (config.broken_share, Injection.BROKEN),
        (config.future_share, Injection.FUTURE_DATED),
    ):
        total += share
        limits.append((total, injection))
    return limits


def _comment_arrival(at_us: int, comment: Comment, injected: Injection | None, removed: bool) -> Arrival:
    return Arrival(at_us, "comments", comment.comment_id, to_json(comment), injected, removed)


def _refused(comment: Comment, at_us: int, value: bytes, injected: Injection) -> Delivery:
    return Delivery(Arrival(at_us, "comments", comment.comment_id, value, injected, None))
