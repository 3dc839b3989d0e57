"""Keys and values of the published topics, built from ledger rows for worker and `moderation republish`.

Decisions and alerts are keyed by comment_id, panes by the fields that identify them.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from moderation.contracts import SCHEMA_VERSION, Pane, compact_json
from moderation.ledger import DecisionRow, Versions


def decision_fields(topic: str, topic_id: str, row: DecisionRow, versions: Versions) -> dict[str, object]:
    """The fields of ``contracts.Decision``, as a dictionary for speed: this runs once per comment.

    ``repairs`` is left out if there are none, and ``inclusion_ppm`` if the policy does not explore, so that records
    published before the fields existed keep their bytes.
    """
    fields: dict[str, object] = {
        "topic": topic,
        "topic_id": topic_id,
        "partition": row.partition,
        "offset": row.offset,
        "comment_id": row.comment_id,
        "community": row.community,
        "event_time_us": row.event_time_us,
        "score_ppm": row.score_ppm,
        "verdict": row.verdict,
        "model_version": versions.model_version,
        "policy_version": versions.policy_version,
        "fate": row.fate,
        "schema_version": SCHEMA_VERSION,
    }
    if row.repairs:
        fields["repairs"] = row.repairs
    if row.inclusion_ppm is not None:
        fields["inclusion_ppm"] = row.inclusion_ppm
    return fields


def decision_key(row: DecisionRow) -> bytes:
    """The key on topics ``decisions`` and ``alerts``."""
    return row.comment_id.encode()


def decision_value(fields: Mapping[str, object]) -> bytes:
    """The value on topic ``decisions``; see :func:`decision_fields`."""
    return compact_json(fields)


def alert_value(fields: Mapping[str, object], row: DecisionRow) -> bytes:
    """The value on topic ``alerts``; see :func:`decision_fields`."""
    return compact_json({"decision": fields, "reasons": row.reasons or []})


def pane_key(pane: Pane) -> bytes:
    """The key on topic ``panes``: a JSON array of the fields that identify a pane."""
    return orjson.dumps(
        [pane.topic_id, pane.partition, pane.community, pane.start_us, pane.model_version, pane.policy_version]
    )


def pane_value(pane: Pane) -> bytes:
    """The value on topic ``panes``."""
    return orjson.dumps(pane)
