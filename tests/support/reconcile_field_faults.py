"""Faults in what is not counted: ids, times and reasons of decisions, digests of models, dead letters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from tests.support.reconcile_moved import Fault, Moved, both, one
from tests.support.reconcile_oracle import expected_of
from tests.support.reconcile_tables import (
    Decided,
    Letter,
    Place,
    Tables,
    key_of,
    plus,
    sums_of,
)


def _altered_field(cause: str, changes: Callable[[Decided], dict[str, object]]) -> Fault:
    def alter(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
        chosen = one(random, both(tables, avoid, lambda e: e.worth is not None and not e.worth.is_quarantined))
        if chosen is None:
            return None
        place, _, decided = chosen
        moved = Moved(tables.copy())
        moved.tables.ledger[place] = replace(decided, **changes(decided))  # type: ignore[arg-type]
        moved.touched.add(place)
        moved.fields.add((place, key_of(decided), cause))
        before = expected_of(tables).differences  # late rows and copies keep their cause
        moved.differences = {where: what for where, what in before.items() if where[0] == place}
        return moved

    return alter


def other_model(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The registry gives the version's number to another model, which may score otherwise."""
    chosen = one(random, both(tables, avoid))
    if chosen is None:
        return None
    place, worth, decided = chosen
    score = random.choice((worth.score, (worth.score + 7) % 1_000_001))
    scored = replace(worth, is_other_model=True, score=score)
    moved = Moved(tables.copy())
    moved.tables.recomputed[place] = scored
    if score != worth.score:
        moved.batch[key_of(worth)] = plus(sums_of(scored), sums_of(worth), -1)
    moved.differ(place, "other_model", (scored, 1), (decided, -1))
    moved.fields.add((place, key_of(decided), "other_model"))
    return moved


def _letter_changed(tables: Tables, random: Random, avoid: set[Place], change: Letter | None) -> Moved | None:
    places = sorted(
        place
        for place, record in tables.lake_letters.items()
        if record.reason and place in tables.letters.keys() - tables.recomputed.keys() - avoid
    )
    if not places:
        return None
    place = random.choice(places)
    moved = Moved(tables.copy(), touched={place})
    if change is None:
        del moved.tables.letters[place]
    else:
        moved.tables.letters[place] = change
    moved.letters.add((place, "missing_letter" if change is None else "wrong_letter"))
    return moved


def missing_letter(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A dead letter is deleted."""
    return _letter_changed(tables, random, avoid, None)


def altered_letter(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A dead letter has another reason, length, digest or time than the record."""
    changes: tuple[dict[str, object], ...] = (
        {"reason": "empty"},
        {"length": 5},
        {"sha256": "e" * 64},
        {"append_us": 1},
    )
    return _letter_changed(tables, random, avoid, replace(Letter(), **random.choice(changes)))  # type: ignore[arg-type]


def phantom_letter(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The ledger has a dead letter where the lake has no record."""
    taken = tables.recomputed.keys() | tables.ledger.keys() | tables.letters.keys() | tables.lake_letters.keys() | avoid
    free = [
        place
        for (topic_id, part), (archived, _) in tables.cuts.items()
        for place in (Place(topic_id, part, pos) for pos in range(archived))
        if place not in taken
    ]
    if not free:
        return None
    place = random.choice(free)
    moved = Moved(tables.copy(), touched={place})
    moved.tables.letters[place] = Letter()
    moved.letters.add((place, "phantom_letter"))
    return moved


FIELD_FAULTS: dict[str, Fault] = {
    "other comment id": _altered_field("other_id", lambda row: {"comment_id": row.comment_id + "x"}),
    "other record id": _altered_field("other_id", lambda row: {"record_id": row.record_id[::-1]}),
    "other append time": _altered_field("other_time", lambda row: {"append_us": row.append_us + 1}),
    "other reasons": _altered_field("other_reasons", lambda row: {"reasons": row.reasons + " "}),
    "other model": other_model,
    "missing letter": missing_letter,
    "altered letter": altered_letter,
    "phantom letter": phantom_letter,
}
