"""Faults by which the ledger contradicts itself or its own end, and of rows that only one side has and none counts."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.support.reconcile_moved import Moved, both, one, row_that_the_lake_lacks
from tests.support.reconcile_oracle import evidence_of
from tests.support.reconcile_tables import COUNTED, DUPLICATE, LATE, LakeLetter, Letter, Place, Tables, key_of, place_of


def swapped_fate(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A row that is not counted has the other reason not to be."""
    plain = both(tables, avoid, lambda e: not e.l and not e.has_other_fate)
    chosen = one(random, [each for each in plain if _rules_out(tables, each[0], LATE + DUPLICATE - each[2].fate)])
    if chosen is None:
        return None
    place, worth, decided = chosen
    moved = Moved(tables.copy())
    moved.tables.ledger[place] = replace(decided, fate=LATE + DUPLICATE - decided.fate)
    moved.touched.add(place)
    moved.fields.add((place, key_of(decided), "unexplained"))
    if dict(evidence_of(tables))[place].b:
        moved.differ(place, "unexplained", (worth, 1))
    return moved


def _rules_out(tables: Tables, place: Place, fate: int) -> bool:
    altered = tables.copy()
    altered.ledger[place] = replace(altered.ledger[place], fate=fate)
    return dict(evidence_of(altered))[place].has_other_fate


def beyond_end(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The ledger has a row at or above its own end, of a known partition or of another one."""
    if not tables.ledger:
        return None
    like = random.choice(sorted(tables.ledger.values(), key=lambda row: (row.topic_id, row.part, row.pos)))
    part = random.choice((like.part, 99))
    end = tables.cuts.get((like.topic_id, part), (0, 0))[1]
    place = Place(like.topic_id, part, max(end, max(tables.cuts.get((like.topic_id, part), (0, 0)))) + 5)
    if place in avoid:
        return None
    made = replace(like, part=part, pos=place.pos, fate=COUNTED)
    moved = Moved(tables.copy())
    moved.tables.ledger[place] = made
    moved.leave(made, 1)
    moved.differ(place, "unexplained", (made, -1))
    moved.fields.add((place, key_of(made), "unexplained"))
    return moved


def uncounted_phantom(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The ledger has a row that the lake lacks and that it does not count."""
    made = row_that_the_lake_lacks(tables, random, avoid, fate=random.choice((LATE, DUPLICATE)))
    if made is None:
        return None
    place = place_of(made)
    moved = Moved(tables.copy(), touched={place})
    moved.tables.ledger[place] = made
    moved.fields.add((place, key_of(made), "phantom"))
    return moved


def lost_copy(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The decision of a copy, which the ledger does not count, is missing."""
    chosen = one(random, both(tables, avoid, lambda e: e.is_copy and not e.l and e.letter is None))
    if chosen is None:
        return None
    place, worth, _ = chosen
    moved = Moved(tables.copy(), touched={place})
    del moved.tables.ledger[place]
    moved.fields.add((place, key_of(worth), "lost"))
    return moved


def decided_and_refused(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A record has a decision and a dead letter."""
    chosen = one(random, both(tables, avoid))
    if chosen is None:
        return None
    place, _, _ = chosen
    moved = Moved(tables.copy(), touched={place})
    moved.tables.letters[place], moved.tables.lake_letters[place] = Letter(), LakeLetter("")
    moved.letters.add((place, "wrong_letter"))
    return moved
