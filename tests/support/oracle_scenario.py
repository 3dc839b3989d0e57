"""In-memory log with its ledger and topics, consistent until a test breaks it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from local.oracle.comparison import FAULTS, DeliveryReport, OracleReport
from local.oracle.event_time import PANE_US, identity_of
from local.oracle.ledger import (
    LedgerContents,
    Logged,
    Row,
    closed_panes,
    compare_closings,
    compare_fates,
    compare_panes,
    compare_positions,
    compare_served,
)
from local.oracle.topics import Message, compare_topics

SOURCE = ("comments", "00000000-0000-0000-0000-000000000001")
START_US = 1_700_000_000_000_000 // PANE_US * PANE_US
MINUTE_US = 60_000_000
VERDICTS = ("allow", "review", "remove")


def raw_comment(number: int, minute: int) -> bytes:
    fields = {"comment_id": f"c{number}", "community": "science", "body": f"text {number}"}
    return json.dumps({"schema_version": 1, **fields, "event_time_us": START_US + minute * MINUTE_US}).encode()


# Two in one pane, a duplicate, a dead letter at 3, further ones that close panes, and a late one.
RAW = [
    raw_comment(0, 0),
    raw_comment(1, 1),
    raw_comment(1, 1),
    b"nonsense",
    raw_comment(2, 7),
    raw_comment(3, 30),
    raw_comment(4, 2),
]
FATES = ["counted", "counted", "duplicate", None, "counted", "counted", "late"]


def row_of(offset: int, fate: str) -> Row:
    fields = json.loads(RAW[offset])
    verdict = VERDICTS[offset % 3]
    reasons = None if verdict == "allow" else ["idiot"]
    return Row(
        partition=0,
        offset=offset,
        comment_id=fields["comment_id"],
        community=fields["community"],
        event_time_us=fields["event_time_us"],
        record_id=identity_of(RAW[offset])[0],
        score_ppm=offset * 100_000,
        verdict=verdict,
        model_version="1",
        policy_version="p",
        fate=fate,
        reasons=reasons,
    )


def grouped(rows: Sequence[Row]) -> dict[tuple[int, str, int, str, str], tuple[Any, ...]]:
    """Compute GROUP BY key by key and measure by measure, independent of the oracle."""

    def key(row: Row) -> tuple[int, str, int, str, str]:
        start_us = row.event_time_us // PANE_US * PANE_US
        return row.partition, row.community, start_us, row.model_version, row.policy_version

    panes = {}
    for each in {key(row) for row in rows if row.fate != "duplicate"}:
        counted = [row for row in rows if key(row) == each and row.fate == "counted"]
        panes[each] = (
            len(counted),
            sum(row.verdict == "review" for row in counted),
            sum(row.verdict == "remove" for row in counted),
            sum(row.score_ppm for row in counted),
            sum(key(row) == each and row.fate == "late" for row in rows),
            min((row.offset for row in counted), default=None),
        )
    return panes


def message(key: bytes, value: Any) -> Message:
    return (0, 0), key, json.dumps(value).encode()


def decision_of(row: Row) -> dict[str, Any]:
    names = "partition offset comment_id community event_time_us score_ppm verdict model_version policy_version fate"
    fields = {name: getattr(row, name) for name in names.split()}
    return {"topic": SOURCE[0], "topic_id": SOURCE[1], **fields, "schema_version": 1}


def pane_messages(ledger: LedgerContents) -> list[Message]:
    messages = []
    for key, sums in sorted(closed_panes(ledger).items()):
        partition, community, start_us, model_version, policy_version = key
        value = {"topic": SOURCE[0], "topic_id": SOURCE[1], "partition": partition, "community": community}
        value |= {"start_us": start_us, "end_us": start_us + PANE_US, "model_version": model_version}
        value |= {"policy_version": policy_version, "schema_version": 1}
        value |= dict(zip(("comments", "reviews", "removals", "score_sum"), sums, strict=False))
        messages.append(message(json.dumps([SOURCE[1], *key], separators=(",", ":")).encode(), value))
    return messages


@dataclass
class World:
    """Log with its ledger and topics, consistent until a test breaks it."""

    raw: dict[int, bytes] = field(default_factory=lambda: dict(enumerate(RAW)))
    log_range: tuple[int, int] = (0, len(RAW))
    delivered: list[DeliveryReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        rows = [row_of(offset, fate) for offset, fate in enumerate(FATES) if fate is not None]
        letter = Logged.of(RAW[3])
        self.ledger = LedgerContents(
            rows=rows,
            letters=[(0, 3, letter.value_sha256.hex(), letter.length)],
            gaps=[],
            holes=[],
            unreadable=[],
            panes=grouped(rows),
            positions={0: (0, len(RAW), START_US + 30 * MINUTE_US)},
            served={0: [(0, "1")]},
        )
        self.decisions = [message(row.comment_id.encode(), decision_of(row)) for row in rows]
        self.alerts = [
            message(row.comment_id.encode(), {"decision": decision_of(row), "reasons": row.reasons})
            for row in rows
            if row.verdict != "allow"
        ]
        self.panes = pane_messages(self.ledger)

    def change(self, number: int, **fields: Any) -> None:
        rows = list(self.ledger.rows)
        rows[number] = replace(rows[number], **fields)
        self.ledger = replace(self.ledger, rows=rows)

    def set_position(self, first: int, next_offset: int, newest_us: int | None = START_US + 30 * MINUTE_US) -> None:
        self.ledger = replace(self.ledger, positions={0: (first, next_offset, newest_us)})

    def compared(self) -> OracleReport:
        report = OracleReport()
        log = {(0, offset): Logged.of(value) for offset, value in self.raw.items()}
        compare_positions(report, log, self.ledger, self.delivered, {0: self.log_range})
        compare_closings(report, log, self.ledger, {0: self.log_range})
        compare_fates(report, self.ledger)
        compare_panes(report, self.ledger)
        compare_served(report, self.ledger)
        compare_topics(report, self.ledger, SOURCE, self.decisions, self.alerts, self.panes)
        return report

    def faults(self) -> dict[str, int]:
        report = self.compared()
        assert report.is_exact == (not report.examples)
        return {name: getattr(report, name) for name in FAULTS if getattr(report, name)}
