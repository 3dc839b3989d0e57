"""Each row has one cause: the first cause of the order for which there is evidence.

Every combination of evidence that lake, ledger and cuts can hold of one offset is made, all of them in one run.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import combinations, product

import pytest

from moderation.contracts import Cause
from tests.support.reconcile_checks import assert_expected, differences_of
from tests.support.reconcile_digests import DIGEST_FIELDS
from tests.support.reconcile_oracle import EVIDENCE, Evidence, evidence_of, expected_of
from tests.support.reconcile_scenario import DAY_US, topic_id_of
from tests.support.reconcile_tables import (
    COUNTED,
    DUPLICATE,
    LATE,
    PANE_US,
    Decided,
    LakeLetter,
    Letter,
    Place,
    Seen,
    Tables,
    Worth,
    place_of,
    reconcile,
)

ORDER = [
    *("unarchived", "unprocessed", "quarantined", "lost", "phantom", "wrong_letter", "recovered"),
    *("late", "duplicate", "other_model", "policy", "rescored", "unexplained"),
]
_NO_LAKE = "one is of what the lake does not have, the other of what it has"
_NO_ROW = "one is of what has no ledger row, the other of what has one"
_SIDES = "one says the batch alone counts it, the other the ledger alone"
IMPOSSIBLE = {
    **{("unarchived", other): _NO_LAKE for other in ORDER if other not in ("unarchived", "phantom")},
    ("unarchived", "phantom"): "one is at or above the lake's end, the other below",
    **{(other, "phantom"): _NO_LAKE for other in ("unprocessed", "quarantined", "lost")},
    **{("phantom", other): _NO_LAKE for other in ORDER[5:]},
    **{("unprocessed", other): "one is at or above next, the other below" for other in ("quarantined", "lost")},
    ("quarantined", "lost"): "one has a dead letter, the other none",
    **{
        (first, other): _NO_ROW
        for first in ("unprocessed", "quarantined", "lost", "wrong_letter")
        for other in ORDER[8:]
    },
    ("unprocessed", "wrong_letter"): "a dead letter is accounted for, so it lies below next",
    ("quarantined", "wrong_letter"): "the record is that of the dead letter, or another one",
    ("lost", "wrong_letter"): "one has a dead letter, the other none",
    ("recovered", "duplicate"): _SIDES,
    ("late", "duplicate"): _SIDES,
}
END = 1_000_000
ALTERATIONS: list[dict[str, object]] = [
    {},
    {"score": 8},
    {"verdict": 2},
    {"community": "b"},
    {"event_us": DAY_US + PANE_US},
]


def every_row() -> Tables:
    """One row for every combination; where lake and ledger end differs by partition."""
    tables = Tables(
        cuts={(topic_id_of(0), part): cut for part, cut in enumerate(((END, END), (0, END), (END, 0), (END, END)))}
    )
    flags = (False, True)
    first = _worth(Place(topic_id_of(0), 0, 0))
    tables.recomputed[place_of(first)] = first
    tables.ledger[place_of(first)] = _decided(first)
    pos = 0
    # In the lake and not decided: below next or above, with a dead letter or without, late, a replay, a copy. A letter
    # of a record that could not be decided has its digest, or that of another record.
    letters: dict[str, Letter | None] = {
        "": None,
        "refused by other rules": Letter(),
        "refused by no rules": Letter(),
        "quarantined": Letter("processing_failed", failed=True),
        "another record": Letter("processing_failed", failed=True),
        "released": Letter("processing_failed", released=True),
    }
    for part, letter, late, replay, copy in product((0, 2), letters, flags, flags, flags):
        if letter and part == 2:
            continue  # a dead letter is accounted for, so it lies below next
        pos += 1
        worth = replace(_worth(Place(topic_id_of(0), part, pos)), is_late=late, is_replay=replay)
        holds = letter == "refused by other rules"
        worth = replace(worth, is_quarantined=letter == "quarantined", letter_holds=holds)
        if copy:
            worth = replace(worth, record_id=first.record_id)
        tables.recomputed[place_of(worth)] = worth
        if (stored := letters[letter]) is not None:
            tables.letters[place_of(worth)] = stored
            tables.lake_letters[place_of(worth)] = LakeLetter(stored.reason if holds else "")
    # Decided and not in the lake: below its end or above.
    for part, fate in product((0, 1), (COUNTED, LATE, DUPLICATE)):
        pos += 1
        made = replace(_decided(_worth(Place(topic_id_of(0), part, pos))), fate=fate)
        tables.ledger[place_of(made)] = made
    # In both. A place has one fate alone, so that a dead letter does not lie there. A copy follows a record of another
    # partition.
    versions_of = product(("p", "q"), ("1", "2"), ("k", "l"))
    for (policy, model, kernel), altered, fate, late, replay, copy, other in product(
        versions_of, ALTERATIONS, (COUNTED, LATE, DUPLICATE), flags, flags, flags, flags
    ):
        pos += 1
        worth = replace(
            _worth(Place(topic_id_of(0), 3, pos)), is_late=late, is_replay=replay, is_other_model=other, reasons="[]"
        )
        if copy:
            earlier = replace(_worth(Place(topic_id_of(0), 0, pos)), record_id=worth.record_id)
            tables.recomputed[place_of(earlier)] = earlier
            tables.ledger[place_of(earlier)] = _decided(earlier)
        tables.recomputed[place_of(worth)] = worth
        tables.ledger[place_of(worth)] = replace(
            _decided(worth),
            fate=fate,
            policy_version=policy,
            model_version=model,
            kernel_version=kernel,
            **altered,  # type: ignore[arg-type]
        )
    for row in tables.ledger.values():
        tables.count(row)
    return tables


def _worth(place: Place) -> Worth:
    record_id = hashlib.sha256(repr(place).encode()).digest()
    # All have one hash: nothing may rest on the hash alone.
    return Worth(*place, DAY_US, "a", f"c{place.pos}", 5, record_id, 7, 1, False, False, "1", "p", "k")


def _decided(worth: Worth) -> Decided:
    names = ("event_us", "community", "score", "verdict", "comment_id", "record_id", "reasons")
    named = {name: getattr(worth, name) for name in names}
    return Decided(
        *place_of(worth),
        **named,
        fate=COUNTED,
        stored_us=DAY_US,
        model_version="1",
        policy_version="p",
        kernel_version="k",
    )


def test_wrong_repairs_are_unexplained() -> None:
    tables = Tables(cuts={(topic_id_of(0), 0): (END, END)})
    for pos, (lake, ledger) in enumerate((("cut", "cut"), ("", ""), ("cut", ""), ("", "nul"))):
        worth = replace(_worth(Place(topic_id_of(0), 0, pos)), repairs=lake)
        tables.recomputed[place_of(worth)] = worth
        tables.ledger[place_of(worth)] = replace(_decided(worth), repairs=ledger)
        tables.count(tables.ledger[place_of(worth)])
    found = reconcile(tables)
    assert {row["offset"]: row["cause"] for row in found.differences} == dict.fromkeys((2, 3), Cause.UNEXPLAINED)
    assert found.outcome.causes[Cause.UNEXPLAINED] == 2


FIELDS: list[tuple[dict[str, object], Cause]] = [
    ({"comment_id": "another"}, Cause.OTHER_ID),
    ({"record_id": bytes(32)}, Cause.OTHER_ID),
    ({"append_us": 1}, Cause.OTHER_TIME),
    ({"reasons": "another"}, Cause.OTHER_REASONS),
    ({"model_version": "2"}, Cause.RESCORED),
    ({"kernel_version": "another"}, Cause.RESCORED),
    ({"kernel_version": "another", "reasons": "another"}, Cause.RESCORED),
    ({"policy_version": "another"}, Cause.POLICY),
    ({"fate": LATE}, Cause.UNEXPLAINED),
    ({"fate": DUPLICATE}, Cause.UNEXPLAINED),
    ({"score": 8}, Cause.UNEXPLAINED),
    ({"verdict": 2}, Cause.UNEXPLAINED),
    ({"community": "b"}, Cause.UNEXPLAINED),
    ({"event_us": DAY_US + 1}, Cause.UNEXPLAINED),
    ({"repairs": "cut"}, Cause.UNEXPLAINED),
]
"""What a row may have instead of its values, and the cause; each is a defect."""


def test_every_field_of_a_digest_has_a_cause_that_is_a_defect() -> None:
    named = {name for change, _ in FIELDS for name in change}
    assert named | {"topic_id", "part", "pos"} == set(DIGEST_FIELDS), "rows at other places are lost and phantom"


def test_each_field_of_a_counted_row_has_its_cause_and_an_equal_row_has_none() -> None:
    tables = Tables(cuts={(topic_id_of(0), 0): (END, END)})
    changes: list[dict[str, object]] = [{}, *(change for change, _ in FIELDS)]
    for pos, change in enumerate(changes):
        worth = _worth(Place(topic_id_of(0), 0, pos))
        tables.recomputed[place_of(worth)] = worth
        tables.ledger[place_of(worth)] = replace(_decided(worth), **change)  # type: ignore[arg-type]
        tables.count(tables.ledger[place_of(worth)])
    scored_by_another = replace(_worth(Place(topic_id_of(0), 0, len(changes))), is_other_model=True)
    tables.recomputed[place_of(scored_by_another)] = scored_by_another
    tables.ledger[place_of(scored_by_another)] = _decided(scored_by_another)
    tables.count(_decided(scored_by_another))
    found = reconcile(tables)
    expected = [*(cause.value for _, cause in FIELDS), Cause.OTHER_MODEL.value]
    assert {row["offset"]: row["cause"] for row in found.differences} == dict(enumerate(expected, 1))
    assert all(Cause(name).is_defect for name in expected)
    assert_expected(found, expected_of(tables))


def test_two_rows_of_one_offset_are_unexplained_though_each_is_right() -> None:
    tables = Tables(cuts={(topic_id_of(0), 0): (END, END)})
    for pos in range(3):
        worth = _worth(Place(topic_id_of(0), 0, pos))
        tables.recomputed[place_of(worth)] = worth
        tables.ledger[place_of(worth)] = _decided(worth)
        tables.count(_decided(worth))
    tables.ledger[Place(topic_id_of(0), 0, END)] = tables.ledger[Place(topic_id_of(0), 0, 1)]
    found = reconcile(tables)
    assert [(row["offset"], row["cause"]) for row in found.differences] == [(1, Cause.UNEXPLAINED)]
    assert (found.outcome.causes[Cause.UNEXPLAINED], found.outcome.residual) == (1, 0)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return every_row()


@pytest.fixture(scope="module")
def seen(tables: Tables) -> Seen:
    return reconcile(tables)


@pytest.fixture(scope="module")
def held(tables: Tables) -> dict[Place, list[str]]:
    """By place the causes whose own evidence holds, in order; nothing is asked of the others."""
    return {place: [name for name in ORDER if EVIDENCE[name](e)] for place, e in evidence_of(tables)}


def test_the_order_of_causes_is_that_of_the_contract() -> None:
    assert [cause.value for cause in Cause][: len(ORDER)] == ORDER == list(EVIDENCE)


def test_a_row_has_the_first_cause_with_evidence(seen: Seen, held: dict[Place, list[str]]) -> None:
    found = differences_of(seen)
    causes = {place: cause for (place, _), (cause, _) in found.items()}
    assert len({(place, cause) for (place, _), (cause, _) in found.items()}) == len(causes)
    for place, cause in causes.items():
        assert held[place][:1] == [cause], (place, held[place])
    assert set(causes.values()) == set(ORDER)


def test_a_row_has_a_cause_if_and_only_if_a_measure_differs(tables: Tables, seen: Seen) -> None:
    assert_expected(seen, expected_of(tables))
    named = {place for place, _ in differences_of(seen)}
    for place, e in evidence_of(tables):
        assert (place in named) == _differs(e), (place, e)


def _differs(e: Evidence) -> bool:
    if not (e.b and e.l):
        return e.b or e.l
    names = ("event_us", "community", "score", "verdict", "model_version", "policy_version")
    return any(getattr(e.worth, name) != getattr(e.decided, name) for name in names)


@pytest.mark.parametrize("pair", list(combinations(ORDER, 2)), ids="-".join)
def test_of_two_causes_on_one_row_the_first_wins(
    pair: tuple[str, str], seen: Seen, held: dict[Place, list[str]]
) -> None:
    first, second = pair
    both = {place for place, names in held.items() if first in names and second in names}
    if pair in IMPOSSIBLE:
        assert not both, IMPOSSIBLE[pair]
        return
    causes = {place: cause for (place, _), (cause, _) in differences_of(seen).items()}
    # Rows that no cause before these two claims.
    decisive = [place for place in both if held[place][0] == first and place in causes]
    assert decisive
    assert {causes[place] for place in decisive} == {first}
