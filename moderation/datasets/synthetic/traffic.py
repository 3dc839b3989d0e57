"""Generate written comments hour by hour, before delivery."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from moderation.contracts import Comment
from moderation.datasets.synthetic.authors import Authors
from moderation.datasets.synthetic.communities import COMMUNITIES
from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.config import HOUR_US, TrafficConfig
from moderation.datasets.synthetic.kinds import KIND_WEIGHTS, Kind
from moderation.datasets.synthetic.rhythm import hourly_rate, poisson
from moderation.datasets.synthetic.writer import Writer

RAID_HOURS = (14, 15)  # hours of the raid day
RAID_FACTOR = 20
_REPLIES = 0.55
_RECENT = 60


@dataclass(frozen=True, slots=True)
class WrittenComment:
    """A comment as its author wrote it.

    Attributes:
        comment: the comment, with the author's time as event time.
        kind: latent kind.
        community: community of the comment.
        day: day of the history, from 0.
        is_raid: True for comments of a raid.
    """

    comment: Comment
    kind: Kind
    community: Community
    day: int
    is_raid: bool


class Traffic:
    """All written comments of a configuration.

    Args:
        config: the configuration.
    """

    def __init__(self, config: TrafficConfig) -> None:
        self._config = config
        self._rng = Random(f"{config.seed}/writing")
        self._raid_rng = Random(f"{config.seed}/raid")
        self._authors = Authors(config.seed, config.comments_per_day, self._rng)
        self._writer = Writer(self._rng)
        # Edits and raids have separate random streams, so that they do not change other comments.
        self._editor = Writer(Random(f"{config.seed}/edits"))
        self._raid_authors = Authors(config.seed, config.comments_per_day, self._raid_rng)
        self._raid_writer = Writer(self._raid_rng)
        self._raided = self._raid_rng.choice(COMMUNITIES)
        self._raid_texts: tuple[str, ...] = ()
        self._recent: dict[str, deque[str]] = {community.name: deque(maxlen=_RECENT) for community in COMMUNITIES}
        self._kinds = {community.name: _kind_deck(community) for community in COMMUNITIES}

    def hours(self) -> Iterator[tuple[int, list[WrittenComment]]]:
        """Yield the end of each hour in microseconds, and its comments in order of event time."""
        for hour in range(24 * self._config.days):
            start_us = self._config.start_us + hour * HOUR_US
            written = self._hour(hour, start_us)
            if self._config.raid_day is not None and hour - 24 * self._config.raid_day in RAID_HOURS:
                written += self._raid_hour(hour, start_us)
            written.sort(key=lambda each: each.comment.event_time_us)
            yield start_us + HOUR_US, written

    def edited(self, written: WrittenComment, event_time_us: int) -> Comment:
        """Create a later version of a comment, written at ``event_time_us``."""
        before = written.comment
        body = self._editor.edited(before.body, written.community, self._is_drifted(written.day))
        return Comment(before.comment_id, before.community, body, event_time_us, before.author_key, before.parent_id)

    def _hour(self, hour: int, start_us: int) -> list[WrittenComment]:
        day = hour // 24
        written = []
        for community in COMMUNITIES:
            count = poisson(self._rng, hourly_rate(self._config.comments_per_day, community, start_us))
            times_us = sorted(start_us + int(self._rng.random() * HOUR_US) for _ in range(count))
            written += [self._one(community, day, time_us) for time_us in times_us]
        return written

    def _one(self, community: Community, day: int, time_us: int) -> WrittenComment:
        rng = self._rng
        deck = self._kinds[community.name]
        kind = deck[int(rng.random() * len(deck))]
        recent = self._recent[community.name]
        parent = recent[int(rng.random() * len(recent))] if recent and rng.random() < _REPLIES else None
        comment_id = f"{rng.getrandbits(64):016x}"
        body = self._writer.body(kind, community, self._is_drifted(day))
        recent.append(comment_id)
        comment = Comment(comment_id, community.name, body, time_us, self._authors.of(kind), parent)
        return WrittenComment(comment, kind, community, day, is_raid=False)

    def _raid_hour(self, hour: int, start_us: int) -> list[WrittenComment]:
        day, rng, community = hour // 24, self._raid_rng, self._raided
        self._raid_texts = self._raid_texts or self._raid_writer.raid_texts(community, self._is_drifted(day))
        rate = (RAID_FACTOR - 1) * hourly_rate(self._config.comments_per_day, community, start_us)
        written = []
        for _ in range(poisson(rng, rate)):
            comment = Comment(
                comment_id=f"{rng.getrandbits(64):016x}",
                community=community.name,
                body=self._raid_writer.raid_body(self._raid_texts),
                event_time_us=start_us + int(rng.random() * HOUR_US),
                author_key=self._raid_authors.fresh(),
            )
            written.append(WrittenComment(comment, Kind.SPAM, community, day, is_raid=True))
        return written

    def _is_drifted(self, day: int) -> bool:
        return self._config.drift_from_day is not None and day >= self._config.drift_from_day


def _kind_deck(community: Community) -> tuple[Kind, ...]:
    weights = KIND_WEIGHTS | community.kind_weights
    total = sum(weights.values())
    return tuple(kind for kind, weight in weights.items() for _ in range(round(1_000 * weight / total)))
