"""Faults of the speed layer, one at a time, with their expected effect on rows, causes, panes and residuals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from tests.support.reconcile_contradictions import (
    beyond_end,
    decided_and_refused,
    lost_copy,
    swapped_fate,
    uncounted_phantom,
)
from tests.support.reconcile_field_faults import FIELD_FAULTS
from tests.support.reconcile_moved import Fault, Moved, both, one, row_that_the_lake_lacks
from tests.support.reconcile_oracle import evidence_of
from tests.support.reconcile_scenario import DAY_US
from tests.support.reconcile_tables import (
    ALLOW,
    COUNTED,
    DUPLICATE,
    LATE,
    NOTHING,
    PANE_US,
    LakeLetter,
    Letter,
    Place,
    Tables,
    key_of,
    place_of,
    plus,
    sums_of,
)


def _gone(
    tables: Tables,
    random: Random,
    avoid: set[Place],
    *,
    counted: bool,
    letter: Letter | None = None,
    holds: bool = False,
) -> Moved | None:
    chosen = one(random, both(tables, avoid, lambda e: e.b))
    if chosen is None:
        return None
    place, worth, decided = chosen
    moved = Moved(tables.copy())
    del moved.tables.ledger[place]
    moved.recount(decided, -1) if counted else moved.leave(decided, -1)
    if letter is None:
        moved.differ(place, "lost", (worth, 1))
        return moved
    moved.tables.letters[place] = letter
    moved.tables.lake_letters[place] = LakeLetter(letter.reason if holds else "")
    moved.tables.recomputed[place] = worth = replace(worth, letter_holds=holds)
    is_wrong = not holds and not letter.released
    moved.differ(place, "wrong_letter" if is_wrong else "recovered", (worth, 1))
    if is_wrong:
        moved.letters.add((place, "wrong_letter"))
    return moved


def skipped(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """``next`` moved on, but neither a row nor a pane was written."""
    return _gone(tables, random, avoid, counted=True)


def deleted(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A row is deleted; its pane still counts it."""
    return _gone(tables, random, avoid, counted=False)


def unread(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The worker could not parse a record by the rules that its dead letter names; those of the offset can."""
    return _gone(tables, random, avoid, counted=True, letter=Letter(), holds=True)


def released(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A proven replay released a record from quarantine."""
    return _gone(tables, random, avoid, counted=True, letter=Letter("processing_failed", released=True))


def refused(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The worker stored a record as a dead letter that the rules of the letter can read."""
    return _gone(tables, random, avoid, counted=True, letter=Letter())


def quarantined(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A record could not be decided or stored; it has no copy."""
    copies = Counter((place.topic_id, worth.record_id) for place, worth in tables.recomputed.items())
    chosen = one(random, [each for each in both(tables, avoid) if copies[each[0].topic_id, each[1].record_id] == 1])
    if chosen is None:
        return None
    place, worth, decided = chosen
    moved = Moved(tables.copy())
    del moved.tables.ledger[place]
    moved.recount(decided, -1)
    moved.tables.letters[place] = Letter("processing_failed", failed=True)
    moved.tables.lake_letters[place] = LakeLetter(None)
    unscored = replace(worth, score=0, verdict=ALLOW, reasons="", is_late=False, is_replay=False, is_quarantined=True)
    moved.tables.recomputed[place] = unscored
    moved.batch[key_of(worth)] = plus(sums_of(unscored), sums_of(worth), -1)
    moved.differ(place, "quarantined", (unscored, 1))
    return moved


def _left_out(tables: Tables, random: Random, avoid: set[Place], cause: str, fate: int) -> Moved | None:
    chosen = one(random, both(tables, avoid))
    if chosen is None:
        return None
    place, worth, decided = chosen
    moved = Moved(tables.copy())
    moved.recount(decided, -1)
    moved.tables.ledger[place] = replace(decided, fate=fate)
    moved.tables.recomputed[place] = replace(worth, is_late=fate == LATE, is_replay=cause == "recovered")
    moved.differ(place, cause, (worth, 1))
    return moved


def late(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A record is late by the log, and both layers agree."""
    return _left_out(tables, random, avoid, "late", LATE)


def late_replay(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A dead letter was replayed, too late for its pane."""
    return _left_out(tables, random, avoid, "recovered", LATE)


def copied(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A record has a later copy in another partition, which the speed layer cannot recognise."""
    ids = Counter((place.topic_id, worth.record_id) for place, worth in tables.recomputed.items())
    earliest = {place.topic_id: place.part for place in sorted(tables.recomputed, reverse=True)}
    chosen = one(
        random,
        (
            (place, worth, decided)
            for place, worth, decided in both(tables, avoid)
            if ids[place.topic_id, worth.record_id] == 1 and place.part > earliest[place.topic_id]
        ),
    )
    if chosen is None:
        return None
    place, worth, decided = chosen
    own = {each.record_id for other, each in tables.recomputed.items() if other[:2] == place[:2]}
    firsts = [
        first
        for other, first in sorted(tables.recomputed.items())
        if other.topic_id == place.topic_id and other.part < place.part and first.record_id not in own
    ]
    if not firsts:
        return None
    first = random.choice(firsts)
    moved = Moved(tables.copy())
    moved.tables.recomputed[place] = replace(worth, record_id=first.record_id, record_hash=first.record_hash)
    moved.tables.ledger[place] = replace(decided, record_id=first.record_id)
    moved.differ(place, "duplicate", (decided, -1))
    moved.batch[key_of(worth)] = plus(NOTHING, sums_of(worth), -1)
    return moved


def _stamped(tables: Tables, random: Random, avoid: set[Place], cause: str, *names: str, told: bool) -> Moved | None:
    """A row differs; either its pane was updated or only the row was altered."""
    chosen = one(random, both(tables, avoid))
    if chosen is None:
        return None
    place, worth, decided = chosen
    others = {
        "score": (decided.score + random.randint(1, 900_000)) % 1_000_001,
        "verdict": (decided.verdict + random.randint(1, 2)) % 3,
        "community": "elsewhere",
        "event_us": DAY_US + (decided.event_us - DAY_US + random.choice((1, 7)) * PANE_US) % (86_400 * 1_000_000),
        "model_version": "another model",
        "policy_version": "another policy",
        "kernel_version": "another kernel",
        "repairs": "cut",
    }
    altered = replace(decided, **{name: others[name] for name in names})  # type: ignore[arg-type]
    moved = Moved(tables.copy())
    moved.tables.ledger[place] = altered
    for row, sign in ((decided, -1), (altered, 1)):
        moved.recount(row, sign) if told else moved.leave(row, sign)
    moved.differ(place, cause, (worth, 1), (altered, -1))
    moved.fields.add((place, key_of(altered), cause))
    return moved


def _stamping(cause: str, *names: str, told: bool) -> Fault:
    return lambda tables, random, avoid: _stamped(tables, random, avoid, cause, *names, told=told)


def wrong_fate(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The ledger marks a counted row as not counted."""
    plain = both(tables, avoid, lambda e: e.b and e.l and not (e.worth and (e.worth.is_late or e.worth.is_replay)))
    chosen = one(random, plain)
    if chosen is None:
        return None
    place, worth, decided = chosen
    moved = Moved(tables.copy())
    moved.tables.ledger[place] = replace(decided, fate=random.choice((LATE, DUPLICATE)))
    moved.leave(decided, -1)
    moved.differ(place, "unexplained", (worth, 1))
    moved.fields.add((place, key_of(decided), "unexplained"))
    return moved


def phantom(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The ledger has a row that the lake lacks; its pane counts it or not."""
    made = row_that_the_lake_lacks(tables, random, avoid, fate=COUNTED)
    if made is None:
        return None
    place = place_of(made)
    moved = Moved(tables.copy())
    moved.tables.ledger[place] = made
    moved.recount(made, 1) if random.random() < 0.5 else moved.leave(made, 1)
    moved.differ(place, "phantom", (made, -1))
    return moved


def pane(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """A pane differs from the sum of its rows: altered, dropped or invented."""
    if not tables.panes:
        return None
    key = random.choice(sorted(tables.panes))
    moved = Moved(tables.copy())
    before, kind = tables.panes[key], random.choice(("altered", "dropped", "made up"))
    if kind == "dropped":
        del moved.tables.panes[key]
        after = NOTHING
    else:
        by = [0, 0, 0, 0]
        by[random.randrange(4)] = random.choice((-1, 1, 5))
        if kind == "made up":
            key = key._replace(community="nowhere")
            before = tables.panes.get(key, NOTHING)
        after = plus(before, (by[0], by[1], by[2], by[3]))
        moved.tables.panes[key] = after
    moved.speed[key] = plus(after, before, -1)
    moved.residual[key] = plus(before, after, -1)
    return moved


def unprocessed(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The worker has not reached the end of a partition."""
    places = sorted((tables.recomputed.keys() & tables.ledger.keys()) - avoid)
    if not places:
        return None
    cut = random.choice(places)
    tail = [(place, e) for place, e in evidence_of(tables) if place[:2] == cut[:2] and place.pos >= cut.pos]
    if any(place in avoid for place, _ in tail):
        return None
    moved = Moved(tables.copy())
    moved.tables.cuts[cut[:2]] = tables.cuts[cut[:2]][0], cut.pos
    moved.tables.letters = {
        place: letter for place, letter in tables.letters.items() if place[:2] != cut[:2] or place.pos < cut.pos
    }
    for place, e in tail:
        moved.touched.add(place)
        if e.decided is not None:
            moved.recount(moved.tables.ledger.pop(place), -1)
        if e.worth is not None and e.b:
            moved.differ(place, "unprocessed", (e.worth, 1))
    return moved


def unarchived(tables: Tables, random: Random, avoid: set[Place]) -> Moved | None:
    """The lake ends before the ledger; no counted record has a later copy that would count instead."""
    places = sorted((tables.recomputed.keys() & tables.ledger.keys()) - avoid)
    if not places:
        return None
    # Late in the largest partition, where fewer copies follow.
    cut = max(random.sample(places, min(3, len(places))))
    tail = [(place, e) for place, e in evidence_of(tables) if place[:2] == cut[:2] and place.pos >= cut.pos]
    ids = {(place.topic_id, e.worth.record_id) for place, e in tail if e.worth is not None and e.b}
    own = {place for place, _ in tail}
    kept = {(place.topic_id, row.record_id) for place, row in tables.recomputed.items() if place not in own}
    if any(place in avoid for place in own) or ids & kept:
        return None
    moved = Moved(tables.copy())
    moved.tables.cuts[cut[:2]] = cut.pos, tables.cuts[cut[:2]][1]
    for place in tables.lake_letters:
        if place[:2] == cut[:2] and place.pos >= cut.pos:
            del moved.tables.lake_letters[place]
    for place, e in tail:
        moved.touched.add(place)
        moved.tables.recomputed.pop(place, None)
        if e.worth is not None and e.b:
            moved.batch[key_of(e.worth)] = plus(moved.batch.get(key_of(e.worth), NOTHING), sums_of(e.worth), -1)
        if e.decided is not None and e.l:
            moved.differ(place, "unarchived", (e.decided, -1))
    return moved


FAULTS: dict[str, Fault] = {
    "unprocessed": unprocessed,
    "unarchived": unarchived,
    "late": late,
    "late replay": late_replay,
    "copied": copied,
    "unread": unread,
    "quarantined": quarantined,
    "skipped": skipped,
    "deleted": deleted,
    "pane": pane,
    "phantom": phantom,
    "wrong score": _stamping("unexplained", "score", told=True),
    "altered score": _stamping("unexplained", "score", told=False),
    "altered verdict": _stamping("unexplained", "verdict", told=False),
    "altered community": _stamping("unexplained", "community", told=False),
    "altered time": _stamping("unexplained", "event_us", told=False),
    "wrong fate": wrong_fate,
    "swapped fate": swapped_fate,
    "beyond the end": beyond_end,
    "phantom that is not counted": uncounted_phantom,
    "lost copy": lost_copy,
    "decided and refused": decided_and_refused,
    "only another kernel": _stamping("rescored", "kernel_version", told=True),
    "altered repairs": _stamping("unexplained", "repairs", told=False),
    "another policy": _stamping("policy", "policy_version", "verdict", told=True),
    "another model": _stamping("rescored", "model_version", "score", told=True),
    "another model and policy": _stamping("policy", "model_version", "policy_version", "score", told=True),
    "released": released,
    "refused": refused,
    **FIELD_FAULTS,
    "another kernel": _stamping("rescored", "kernel_version", "score", told=True),
}
TAMPERING = {name for name in FAULTS if name.startswith("altered")} | {
    "deleted",
    "pane",
    "wrong fate",
    "beyond the end",
}
"""What leaves a pane that is not the sum of its ledger rows; a phantom may, too."""


def together(tables: Tables, random: Random, share: float = 0.7) -> Iterator[tuple[str, Moved]]:
    """Apply several faults in sequence, each on untouched rows; the last tables have all of them.

    Faults that move whole tails come first, because they must not move rows that another fault has altered.
    """
    touched: set[Place] = set()
    for name in [name for name in FAULTS if random.random() < share]:
        for _ in range(random.randint(1, 3)):
            moved = FAULTS[name](tables, random, touched)
            if moved is not None:
                tables = moved.tables
                touched |= moved.touched
                yield name, moved
