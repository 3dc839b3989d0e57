"""Compare a reconciliation outcome with the expected one: by pane, row and measure."""

from __future__ import annotations

from typing import Any

from moderation.contracts import Cause
from tests.support.reconcile_oracle import Expected
from tests.support.reconcile_tables import NOTHING, Key, Place, Seen, Sums, Tables, plus

_MEASURES = ("comments", "reviews", "removals", "score_sum")
_VERDICTS = (None, "allow", "review", "remove")
_FATES = (None, "counted", "late", "duplicate")
_COLUMNS = ("topic_id", "partition", "offset", "community", "start_us", "model_version", "policy_version", "cause")
_DETAILS = (
    *("comment_id", "event_time_us", "batch_score_ppm", "batch_verdict"),
    *("speed_score_ppm", "speed_verdict", "speed_fate"),
)


def assert_expected(seen: Seen, expected: Expected) -> None:
    """Compare every part of an outcome with the expectation."""
    outcome = seen.outcome
    assert differences_of(seen) == expected.differences
    found = [
        (Place(row["topic_id"], row["partition"], row["offset"]), Key(*_key(row)), row["cause"], _sums(row))
        for row in seen.differences
        if row["community"]
    ]
    assert {(place, key, cause): sums for place, key, cause, sums in found} == expected.all_differences
    assert len(found) == len(expected.all_differences)
    letters = {
        (Place(row["topic_id"], row["partition"], row["offset"]), row["cause"])
        for row in seen.differences
        if not row["community"]
    }
    assert letters == expected.letters
    keys = [Key(*pane.key) for pane in outcome.by_pane]
    assert keys == sorted(expected.panes)
    for key, pane in zip(keys, outcome.by_pane, strict=True):
        assert (pane.batch, pane.speed, pane.residual, pane.late) == expected.panes[key], key
        causes = {name: (sums["rows"], _sums(sums)) for name, sums in pane.causes.items()}
        assert causes == expected.causes.get(key, {}), key
        assert pane.stored_by_age == expected.ages[key], key
        explained = pane.residual
        for _, sums in causes.values():
            explained = plus(explained, sums)  # type: ignore[arg-type]
        assert plus(pane.batch, pane.speed, -1) == explained, key  # type: ignore[arg-type]
    assert outcome.causes == {cause.value: expected.rows[cause] for cause in Cause}
    assert outcome.state == ("provisional" if expected.rows["unarchived"] + expected.rows["unprocessed"] else "final")
    assert outcome.residual == sum(residual != NOTHING for _, _, residual, _ in expected.panes.values())
    assert outcome.batch_comments == sum(batch[0] for batch, _, _, _ in expected.panes.values())
    assert outcome.speed_comments == sum(speed[0] for _, speed, _, _ in expected.panes.values())
    assert outcome.agreement == expected.agreement


def differences_of(seen: Seen) -> dict[tuple[Place, Key], tuple[str, Sums]]:
    """Return the differences of what is counted, in the form of the oracle."""
    found: dict[tuple[Place, Key], tuple[str, Sums]] = {}
    for row in seen.differences:
        if _sums(row) == NOTHING:
            continue
        place = Place(row["topic_id"], row["partition"], row["offset"])
        key = Key(*_key(row))
        assert (place, key) not in found, "a difference that stands twice"
        found[place, key] = row["cause"], _sums(row)
    return found


def assert_details(seen: Seen, tables: Tables) -> None:
    """Compare the evidence of every difference with lake and ledger."""
    for row in seen.differences:
        place = Place(row["topic_id"], row["partition"], row["offset"])
        if not row["community"]:
            both = tables.lake_letters.get(place), tables.letters.get(place)
            append_us = next(each.append_us for each in both if each is not None)
            assert tuple(row[name] for name in _DETAILS) == (None, append_us, *(None,) * 5)
            continue
        worth, decided = tables.recomputed.get(place), tables.ledger.get(place)
        assert worth or decided
        batch = (worth.score, _VERDICTS[worth.verdict + 1]) if worth else (None, None)
        speed = (
            (decided.score, _VERDICTS[decided.verdict + 1], _FATES[decided.fate + 1]) if decided else (None, None, None)
        )
        event_us = worth.event_us if worth else decided.event_us if decided else None
        comment_id = worth.comment_id if worth else None
        assert tuple(row[name] for name in _DETAILS) == (comment_id, event_us, *batch, *speed)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["topic_id"], row["partition"], *(row[name] for name in _COLUMNS[3:-1])


def _sums(row: dict[str, int] | object) -> Sums:
    assert hasattr(row, "__getitem__")
    comments, reviews, removals, score_sum = (row[name] for name in _MEASURES)
    return comments, reviews, removals, score_sum
