"""Random scenarios for the reconciliation rules: a log, the ledger of it, and the lake it was archived to.

The day starts at ``DAY_US``. Some records are from the previous evening; they only move watermarks.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from uuid import UUID

from tests.support.event_time_rules import fates_of
from tests.support.reconcile_tables import (
    ALLOW,
    COUNTED,
    HOUR_US,
    PANE_US,
    REMOVE,
    REVIEW,
    Decided,
    LakeLetter,
    Letter,
    Place,
    Tables,
    Worth,
    place_of,
)

DAY_US = 1_700_006_400_000_000
COMMUNITIES = ("science", 'ciência; it\'s "odd"')
FATES = ("counted", "late", "duplicate")
POLICIES = {"1": "p-a", "2": "p-b", "3": "p-b"}
"""By model version; two versions share a policy."""
_AGES_US = (0, 5 * 60_000_000, HOUR_US, 24 * HOUR_US)


@dataclass(frozen=True)
class Record:
    """One record of the log. ``unread``: the worker could not parse it. ``parses``: the current parser can."""

    event_us: int
    community: str
    comment_id: str
    body: str
    unread: bool = False
    parses: bool = True
    is_replay: bool = False

    @property
    def record_id(self) -> bytes:
        """Record id; it does not depend on the community."""
        return hashlib.sha256(f"{self.comment_id}|{self.event_us}|{self.body}".encode()).digest()


@dataclass
class World:
    """Logs by partition with their first offsets; versions with their first offsets; archive and ledger positions."""

    logs: dict[tuple[str, int], dict[int, Record]] = field(default_factory=dict)
    served: dict[tuple[str, int], list[tuple[int, str]]] = field(default_factory=dict)
    cuts: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    stored_us: dict[Place, int] = field(default_factory=dict)
    actions: list[tuple[str, str, int]] = field(default_factory=list)

    def version_at(self, place: Place) -> str:
        """Return the model version that decided at a position."""
        return [version for first, version in self.served[place[:2]] if first <= place.pos][-1]

    def tables(self) -> Tables:
        """Return the input tables of an engine."""
        tables = Tables(cuts=dict(self.cuts), actions=list(self.actions))
        for (topic_id, part), log in self.logs.items():
            archived, following = self.cuts[topic_id, part]
            for worth in self._worth(topic_id, part, archived):
                # The rules that a dead letter names refuse what those of the offset read.
                refused = log[worth.pos].unread and worth.pos < following
                tables.recomputed[place_of(worth)] = replace(worth, letter_holds=refused)
            for decided in self._decided(topic_id, part, following):
                tables.ledger[place_of(decided)] = decided
                tables.count(decided)
            for pos, record in log.items():
                if record.unread and pos < following:
                    tables.letters[Place(topic_id, part, pos)] = Letter()
                if record.unread and pos < archived and (pos < following or not record.parses):
                    tables.lake_letters[Place(topic_id, part, pos)] = LakeLetter()
        return tables

    def _worth(self, topic_id: str, part: int, end: int) -> Iterator[Worth]:
        log = [(pos, each) for pos, each in self.logs[topic_id, part].items() if each.parses and pos < end]
        # Lateness does not depend on copies: with distinct ids, none is a duplicate.
        fates = fates_of((record.event_us, bytes([pos % 251, pos // 251]), record.comment_id) for pos, record in log)
        for (pos, record), fate in zip(log, fates, strict=True):
            if record.event_us >= DAY_US:
                version = self.version_at(Place(topic_id, part, pos))
                score, verdict = decision(version, record.record_id)
                yield Worth(
                    *(topic_id, part, pos, record.event_us, record.community, record.comment_id),
                    *(record.record_id[0] % 3, record.record_id, score, verdict, fate == "late", record.is_replay),
                    *(version, POLICIES[version], "1"),
                    reasons=reasons_of(version, record.record_id),
                )

    def _decided(self, topic_id: str, part: int, end: int) -> Iterator[Decided]:
        log = [(pos, each) for pos, each in self.logs[topic_id, part].items() if not each.unread and pos < end]
        fates = fates_of((record.event_us, record.record_id, record.comment_id) for _, record in log)
        for (pos, record), fate in zip(log, fates, strict=True):
            if record.event_us >= DAY_US:
                place = Place(topic_id, part, pos)
                version = self.version_at(place)
                score, verdict = decision(version, record.record_id)
                yield Decided(
                    *(topic_id, part, pos, record.event_us, record.community, score, verdict, FATES.index(fate)),
                    *(self.stored_us[place], version, POLICIES[version], "1"),
                    reasons=reasons_of(version, record.record_id),
                    comment_id=record.comment_id,
                    record_id=record.record_id,
                )


def decision(version: str, record_id: bytes) -> tuple[int, int]:
    """Return score and verdict of a record by a version; any pure function works."""
    score = int.from_bytes(hashlib.sha256(version.encode() + record_id).digest()[:4]) % 1_000_001
    return score, REMOVE if score >= 700_000 else REVIEW if score >= 300_000 else ALLOW


def reasons_of(version: str, record_id: bytes) -> str:
    """Return the reasons of a decision as JSON; none if it is allowed."""
    score, verdict = decision(version, record_id)
    return "" if verdict == ALLOW else f'["w{score % 7}", "é"]'


def topic_id_of(number: int) -> str:
    """Return the id of a numbered topic."""
    return str(UUID(int=number << 96 | 0xA))


def world_of(random: Random, most: int = 14, *, number: int = 0, whole: bool = True) -> World:
    """Create a random scenario.

    Args:
        random: source of randomness.
        most: maximum records of a partition.
        number: number of the scenario; different numbers share neither topics nor comments.
        whole: lake and ledger are at the end of every log; else anywhere.
    """
    world = World()
    for topic_id in (topic_id_of(2 * number), topic_id_of(2 * number + 1))[: random.randint(1, 2)]:
        known: list[Record] = []
        for part in range(random.randint(1, 3)):
            count, first = random.randint(0, most), random.choice((0, 0, 7))
            records = _records(random, count, known, f"c{number}-")
            log = world.logs[topic_id, part] = {first + number: each for number, each in enumerate(records)}
            end = first + count
            world.cuts[topic_id, part] = (
                (end, end) if whole else (random.randint(first, end), random.randint(first, end))
            )
            later = sorted(random.randint(first, end) for _ in range(random.randint(0, 2)))
            world.served[topic_id, part] = [(at, random.choice("123")) for at in (0, *later)]
            for pos, record in log.items():
                hour_end_us = (record.event_us // HOUR_US + 1) * HOUR_US
                world.stored_us[Place(topic_id, part, pos)] = (
                    hour_end_us + random.choice(_AGES_US) + random.randint(-1, 1)
                )
    ids = sorted({each.comment_id for log in world.logs.values() for each in log.values()} | {"unknown"})
    for _ in range(random.randint(0, 8)):
        action = random.choice(("remove", "approve"))
        world.actions.append((random.choice(ids), action, DAY_US + random.randint(0, 2)))
    return world


def _records(random: Random, count: int, known: list[Record], prefix: str) -> Iterator[Record]:
    """Create records with times around pane boundaries and the watermark; append them to ``known``."""
    pane = random.randint(-2, 2)
    for _ in range(count):
        pane += random.choice((0, 0, 0, 1, 2))
        at_us = DAY_US + (pane - random.choice((0, 0, 0, 1, 2, 3, 4))) * PANE_US + random.choice((0, 1, PANE_US - 1))
        if known and random.random() < 0.25:
            record = random.choice(known)
            if random.random() < 0.2:
                record = _with(record, community=random.choice(COMMUNITIES))
        elif known and random.random() < 0.1:
            record = _with(random.choice(known), body=f"edited {len(known)}", event_us=at_us)
        else:
            record = Record(at_us, random.choice(COMMUNITIES), f"{prefix}{len(known)}", "a text")
        known.append(record)
        kind = random.random()
        if kind < 0.06:
            record = _with(record, unread=True, parses=False)
        elif kind < 0.12:
            record = _with(record, unread=True)
        elif kind < 0.2:
            record = _with(record, is_replay=True)
        yield record


def _with(record: Record, **changes: object) -> Record:
    fields = {"event_us": record.event_us, "community": record.community, "comment_id": record.comment_id}
    return Record(**{**fields, "body": record.body, **changes})  # type: ignore[arg-type]


def natural_causes(world: World) -> dict[Place, str]:
    """Return the rows of a whole scenario that differ without a fault, computed from its log."""
    found: dict[Place, str] = {}
    firsts: dict[tuple[str, bytes], Place] = {}
    fates = {place_of(row): row.fate for row in world.tables().ledger.values()}
    by_topic: dict[str, list[Place]] = defaultdict(list)
    for topic_id, part in sorted(world.logs):
        by_topic[topic_id] += [Place(topic_id, part, pos) for pos in sorted(world.logs[topic_id, part])]
    for place in (each for places in by_topic.values() for each in places):
        record = world.logs[place[:2]][place.pos]
        if not record.parses or record.event_us < DAY_US:
            continue
        is_first = firsts.setdefault((place.topic_id, record.record_id), place) == place
        if record.unread:
            cause = "recovered" if is_first else None
        elif fates[place] == COUNTED:
            cause = None if is_first else "duplicate"
        else:
            cause = ("recovered" if record.is_replay else "late") if is_first else None
        if cause:
            found[place] = cause
    return found
