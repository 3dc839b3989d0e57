"""Tables after a fault, with the effect that is expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from random import Random

from tests.support.reconcile_oracle import Evidence, evidence_of
from tests.support.reconcile_tables import (
    COUNTED,
    NOTHING,
    Decided,
    Key,
    Place,
    Sums,
    Tables,
    Worth,
    key_of,
    plus,
    sums_of,
)


@dataclass
class Moved:
    """Tables after a fault.

    Attributes:
        tables: tables with the fault.
        touched: positions whose cause changes; all others stay the same.
        differences: all differences of the touched positions.
        residual: change of the residuals by pane.
        speed: change of the speed layer's panes.
        batch: change of the batch's panes.
        fields: differences of the touched positions in what is not counted.
        letters: differences of the touched dead letters.
    """

    tables: Tables
    touched: set[Place] = field(default_factory=set)
    differences: dict[tuple[Place, Key], tuple[str, Sums]] = field(default_factory=dict)
    residual: dict[Key, Sums] = field(default_factory=dict)
    speed: dict[Key, Sums] = field(default_factory=dict)
    batch: dict[Key, Sums] = field(default_factory=dict)
    fields: set[tuple[Place, Key, str]] = field(default_factory=set)
    letters: set[tuple[Place, str]] = field(default_factory=set)

    def differ(self, place: Place, cause: str, *sides: tuple[Row, int]) -> None:
        """Add a difference at a position from its two sides with their signs."""
        self.touched.add(place)
        for row, sign in sides:
            known = self.differences.get((place, key_of(row)), (cause, NOTHING))[1]
            self.differences[place, key_of(row)] = cause, plus(known, sums_of(row), sign)
        self.differences = {where: what for where, what in self.differences.items() if what[1] != NOTHING}

    def recount(self, row: Decided, sign: int) -> None:
        """Add a row to the speed layer's pane or remove it."""
        self.tables.count(row, sign)
        if row.fate == COUNTED:
            self.speed[key_of(row)] = plus(self.speed.get(key_of(row), NOTHING), sums_of(row), sign)

    def leave(self, row: Row, sign: int) -> None:
        """Change the ledger row without its pane."""
        if not isinstance(row, Decided) or row.fate == COUNTED:
            self.residual[key_of(row)] = plus(self.residual.get(key_of(row), NOTHING), sums_of(row), sign)


Row = Worth | Decided
Fault = Callable[[Tables, Random, set[Place]], Moved | None]
"""Takes tables, chance, and the places that are not to be touched; None if there is nothing it could happen to."""
Both = tuple[Place, Worth, Decided]


def both(tables: Tables, avoid: set[Place], wanted: Callable[[Evidence], bool] = lambda e: e.b and e.l) -> list[Both]:
    return [
        (place, e.worth, e.decided)
        for place, e in evidence_of(tables)
        if e.worth is not None and e.decided is not None and place not in avoid and wanted(e)
    ]


def one(random: Random, found: Iterable[Both]) -> Both | None:
    choice = list(found)
    return random.choice(choice) if choice else None


def row_that_the_lake_lacks(tables: Tables, random: Random, avoid: set[Place], *, fate: int) -> Decided | None:
    """Return a row at a place below both ends that lake, ledger and dead letters leave free; None without one."""
    taken = tables.recomputed.keys() | tables.ledger.keys() | tables.letters.keys() | tables.lake_letters.keys() | avoid
    free = [
        place
        for (topic_id, part), (archived, following) in tables.cuts.items()
        for place in (Place(topic_id, part, pos) for pos in range(min(archived, following)))
        if place not in taken
    ]
    if not free or not tables.ledger:
        return None
    place = random.choice(free)
    like = random.choice(sorted(tables.ledger.values(), key=lambda row: (row.topic_id, row.part, row.pos)))
    return replace(like, topic_id=place.topic_id, part=place.part, pos=place.pos, fate=fate)
