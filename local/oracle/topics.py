"""Compare the topics with the ledger: each key is present, all its values are equal, and every key is in the ledger.

The expected value is computed from the ledger's row, with all fields: an additional field is a difference too. All
values of one key must have equal bytes; only a digest of a value is stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any

from local.oracle.comparison import OracleReport
from local.oracle.event_time import PANE_US
from local.oracle.ledger import LedgerContents, PaneKey, Row, closed_panes
from local.oracle.reading import Position

Message = tuple[Position, bytes, bytes]
"""Position on the topic, key, value."""
SourceTopic = tuple[str, str]
"""Name and id of the source topic."""


def compare_topics(
    report: OracleReport,
    ledger: LedgerContents,
    source: SourceTopic,
    decisions: Iterable[Message],
    alerts: Iterable[Message],
    panes: Iterable[Message],
) -> None:
    """Compare topics ``decisions``, ``alerts`` and ``panes``; values of other source topics are ignored."""
    rows = {row.position: row for row in ledger.rows}
    _compare_decisions(report, "decision", rows, source, decisions)
    alerted = {position: row for position, row in rows.items() if row.verdict != "allow"}
    _compare_decisions(report, "alert", alerted, source, alerts)
    closed = closed_panes(ledger)
    _compare_panes(report, closed, source, _last_after_resets(panes, ledger.resets.keys(), closed))


def _compare_decisions(
    report: OracleReport, kind: str, rows: Mapping[Position, Row], source: SourceTopic, messages: Iterable[Message]
) -> None:
    seen = _Seen(report, kind, source)
    for _, key, raw in messages:
        value = seen.parsed(raw, "decision" if kind == "alert" else None)
        if value is None:
            continue
        decision = value["decision"] if kind == "alert" else value
        position: Any = (decision.get("partition"), decision.get("offset"))
        if (row := rows.get(position)) is None:
            seen.fault(position, "has no row")
            continue
        expected = _decision(row, source)
        description = {"decision": expected, "reasons": row.reasons or []} if kind == "alert" else expected
        if not _same(value, description) or key != row.comment_id.encode():
            seen.fault(position, "differs from its row")
        seen.note(position, raw)
    seen.require(rows)


def _last_after_resets(
    messages: Iterable[Message], reset: Collection[int], closed: Collection[PaneKey]
) -> Iterator[Message]:
    """Yield messages of panes; after a reset of a partition's watermark only the last message of each closed pane.

    A reset opens panes again. They are published once more when they close.
    """
    last: dict[PaneKey, Message] = {}
    for message in messages:
        key: Any = _pane_key(message[1]) if reset else ()
        if key and key[0] in reset:
            last[key] = message
        else:
            yield message
    yield from (last[key] for key in sorted(last.keys() & set(closed), key=lambda key: key[2]))


def _pane_key(key: bytes) -> tuple[Any, ...]:
    """Return the key of a pane without the topic's id; empty if it is malformed."""
    try:
        return tuple(json.loads(key)[1:])
    except (ValueError, TypeError):
        return ()


def _compare_panes(
    report: OracleReport, closed: Mapping[PaneKey, tuple[int, ...]], source: SourceTopic, messages: Iterable[Message]
) -> None:
    seen = _Seen(report, "pane", source)
    newest_us: dict[tuple[int, int], int] = {}
    names = ("partition", "community", "start_us", "model_version", "policy_version")
    for (topic_partition, _), message_key, raw in messages:
        if (pane := seen.parsed(raw, None)) is None:
            continue
        key: Any = tuple(pane.get(name) for name in names)
        if key not in closed:
            seen.fault(key, "is not closed")
            continue
        array = json.dumps([source[1], *key], ensure_ascii=False, separators=(",", ":")).encode()
        if not _same(pane, _pane(key, closed[key], source)) or message_key != array:
            seen.fault(key, f"differs from {closed[key][:4]}")
        if seen.note(key, raw):
            partition_pair = topic_partition, key[0]
            if key[2] < newest_us.get(partition_pair, key[2]):
                seen.fault(key, "comes after a later one")
            newest_us[partition_pair] = max(key[2], newest_us.get(partition_pair, key[2]))
    seen.require(closed)


class _Seen:
    """The keys of one topic, with a digest of the first value of each key."""

    def __init__(self, report: OracleReport, kind: str, source: SourceTopic) -> None:
        self._report = report
        self._kind = kind
        self._source = source
        self._digests: dict[Hashable, bytes] = {}

    def parsed(self, raw: bytes, inside: str | None) -> dict[str, Any] | None:
        """Return the value, or None if another source topic is its origin. A malformed value is a fault."""
        try:
            value: dict[str, Any] = json.loads(raw)
            topic_id = (value[inside] if inside else value)["topic_id"]
        except (ValueError, KeyError, TypeError):
            self.fault(raw[:40], "cannot be read")
            return None
        return value if topic_id == self._source[1] else None

    def note(self, key: Hashable, raw: bytes) -> bool:
        """Note a value; returns True for the first value of a key. A later value that differs is a fault."""
        digest = hashlib.sha256(raw).digest()[:16]
        if (first := self._digests.setdefault(key, digest)) != digest:
            self.fault(key, "was sent again with other bytes")
            return False
        return first is digest

    def require(self, expected: Iterable[Hashable]) -> None:
        for key in expected:
            if key not in self._digests:
                self.fault(key, "is missing")

    def fault(self, key: object, description: str) -> None:
        self._report.fault("topic_gaps", f"{self._kind} {key} {description}")


def _decision(row: Row, source: SourceTopic) -> dict[str, Any]:
    names = "partition offset comment_id community event_time_us score_ppm verdict model_version policy_version fate"
    topic, topic_id = source
    fields = {name: getattr(row, name) for name in names.split()}
    repairs = {"repairs": row.repairs.split(",")} if row.repairs else {}
    inclusion = {} if row.inclusion_ppm is None else {"inclusion_ppm": row.inclusion_ppm}
    return {"topic": topic, "topic_id": topic_id, **fields, "schema_version": 1, **repairs, **inclusion}


def _pane(key: PaneKey, sums: tuple[int, ...], source: SourceTopic) -> dict[str, Any]:
    partition, community, start_us, model_version, policy_version = key
    comments, reviews, removals, score_sum = sums[:4]
    return {
        "topic": source[0],
        "topic_id": source[1],
        "partition": partition,
        "community": community,
        "start_us": start_us,
        "end_us": start_us + PANE_US,
        "model_version": model_version,
        "policy_version": policy_version,
        "comments": comments,
        "reviews": reviews,
        "removals": removals,
        "score_sum": score_sum,
        "schema_version": 1,
    }


def _same(value: object, expected: object) -> bool:
    """Whether two values are equal as JSON; in Python 1, 1.0 and True are equal."""
    return value == expected and json.dumps(value, sort_keys=True) == json.dumps(expected, sort_keys=True)
