"""The topics against the ledger: each key complete, all its values equal, nothing without a reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from local.oracle.comparison import Comparison
from local.oracle.law import PANE_US
from local.oracle.ledger import Contents, PaneKey, Row, closed_panes
from local.oracle.reading import Place

Message = tuple[Place, bytes]


def compare_topics(
    found: Comparison,
    ledger: Contents,
    topic_id: str,
    decisions: Iterable[Message],
    alerts: Iterable[Message],
    panes: Iterable[Message],
) -> None:
    """Compare what is on the topics ``decisions``, ``alerts`` and ``panes``; other sources' values are passed over."""
    rows = {row.place: row for row in ledger.rows}
    _compare(found, "decision", rows, ((d, d) for d in _parsed(decisions) if d["topic_id"] == topic_id), set(rows))
    alerted = {place for place, row in rows.items() if row.verdict != "allow"}
    alert_values = ((a["decision"], a) for a in _parsed(alerts) if a["decision"]["topic_id"] == topic_id)
    _compare(found, "alert", rows, alert_values, alerted)
    _compare_panes(found, closed_panes(ledger), topic_id, panes)


def _compare(
    found: Comparison,
    what: str,
    rows: dict[Place, Row],
    values: Iterator[tuple[dict[str, Any], dict[str, Any]]],
    expected: set[Place],
) -> None:
    missing = set(expected)
    for decision, value in values:
        place = decision["partition"], decision["offset"]
        missing.discard(place)
        if place not in expected:
            found.fault("topic_gaps", f"{what} {place} has no row")
        elif not _says(rows[place], decision) or ("reasons" in value and value["reasons"] != rows[place].reasons):
            found.fault("topic_gaps", f"{what} {place} says something else than its row")
    for place in missing:
        found.fault("topic_gaps", f"{what} {place} is missing")


def _says(row: Row, decision: dict[str, Any]) -> bool:
    names = "partition offset comment_id community event_time_us score_ppm verdict model_version policy_version fate"
    return all(decision[name] == getattr(row, name) for name in names.split())


def _compare_panes(
    found: Comparison, closed: dict[PaneKey, tuple[int, ...]], topic_id: str, messages: Iterable[Message]
) -> None:
    missing = set(closed)
    newest_us: dict[tuple[int, int], int] = {}
    for (topic_partition, _), value in messages:
        pane = json.loads(value)
        if pane["topic_id"] != topic_id:
            continue
        key = pane["partition"], pane["community"], pane["start_us"], pane["model_version"], pane["policy_version"]
        if key not in closed:
            found.fault("topic_gaps", f"pane {key} is not closed")
            continue
        sums = tuple(pane[name] for name in ("comments", "reviews", "removals", "score_sum"))
        if sums != closed[key][:4] or pane["end_us"] != key[2] + PANE_US:
            found.fault("topic_gaps", f"pane {key} says {sums}, not {closed[key][:4]}")
        if key in missing:
            missing.discard(key)
            lane = topic_partition, key[0]
            if key[2] < newest_us.get(lane, key[2]):
                found.fault("topic_gaps", f"pane {key} comes after a later one")
            newest_us[lane] = key[2]
    for key in missing:
        found.fault("topic_gaps", f"pane {key} is missing")


def _parsed(messages: Iterable[Message]) -> Iterator[dict[str, Any]]:
    return (json.loads(value) for _, value in messages)
