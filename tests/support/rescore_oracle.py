"""Independent restatement of rescoring in plain, slow Python, comment by comment."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.reconcile_tables import HOUR_US, REMOVE, REVIEW, Decided, Place, Tables, Worth

NAMES = ("allow", "review", "remove")
Hour = tuple[str, str, int]


@dataclass
class Counted:
    """Counts of a community."""

    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)
    shifts: list[int] = field(default_factory=list)
    not_in_ledger: int = 0
    not_in_lake: int = 0


def firsts_of(tables: Tables) -> Iterator[tuple[Worth, Decided | None]]:
    """Return the first copy of every record in order of positions, with its decision."""
    seen: set[tuple[str, bytes]] = set()
    for place, worth in sorted(tables.recomputed.items()):
        if (worth.topic_id, worth.record_id) not in seen:
            seen.add((worth.topic_id, worth.record_id))
            yield worth, tables.ledger.get(place)


def counts_of(tables: Tables) -> Mapping[str, Counted]:
    """Return the counts by community."""
    found: dict[str, Counted] = defaultdict(Counted)
    for worth, decided in firsts_of(tables):
        own = found[worth.community]
        if decided is None:
            own.not_in_ledger += 1
        else:
            own.transitions[NAMES[decided.verdict], NAMES[worth.verdict]] += 1
            own.shifts.append(worth.score - decided.score)
    for place, decided in tables.ledger.items():
        if place not in tables.recomputed:
            found[decided.community].not_in_lake += 1
    return found


def rows_of(tables: Tables) -> list[dict[str, Any]]:
    """Return the rows of the Parquet file."""
    return [
        {
            **{"topic_id": worth.topic_id, "partition": worth.part, "offset": worth.pos},
            **{"comment_id": worth.comment_id, "community": worth.community, "event_time_us": worth.event_us},
            "served_score_ppm": decided and decided.score,
            "served_verdict": decided and NAMES[decided.verdict],
            "served_model_version": decided and decided.model_version,
            **{"score_ppm": worth.score, "verdict": NAMES[worth.verdict]},
        }
        for worth, decided in firsts_of(tables)
    ]


def most_of(tables: Tables) -> list[Place]:
    """Return the positions of comments that differ, most different first."""
    differing = []
    for worth, decided in firsts_of(tables):
        if decided and (worth.score, worth.verdict) != (decided.score, decided.verdict):
            same = worth.verdict == decided.verdict
            place = Place(worth.topic_id, worth.part, worth.pos)
            differing.append((-abs(worth.score - decided.score), same, place))
    return [place for _, _, place in sorted(differing)]


def hours_of(tables: Tables) -> dict[Hour, tuple[int, int, int, int, int]]:
    """Return comments, reviews, removals, score sum and late comments of every hour with a comment."""
    rows: dict[Hour, list[Worth]] = defaultdict(list)
    for worth, _ in firsts_of(tables):
        rows[worth.topic_id, worth.community, worth.event_us // HOUR_US * HOUR_US].append(worth)
    return {
        hour: (
            len(own),
            sum(each.verdict == REVIEW for each in own),
            sum(each.verdict == REMOVE for each in own),
            sum(each.score for each in own),
            sum(each.is_late for each in own),
        )
        for hour, own in rows.items()
    }
