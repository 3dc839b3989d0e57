"""Write the rows of a batch in its transaction: decisions, dead letters, holes and panes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
import psycopg

from moderation.adapters.sql import copy_format
from moderation.contracts import DeadLetter, Hole, Rules
from moderation.ledger import Batch, DecisionRow, Versions
from moderation.panes import PaneKey, PaneSums, is_reopened
from moderation.timestamps import DAY_US, day_of

Cursor = psycopg.Cursor[tuple[Any, ...]]

# Without stored_us, which the server sets.
_DECISION_COLUMNS = (
    'append_day, topic_id, partition, "offset", append_us, comment_id, community, event_time_us, record_id, score_ppm, '
    "verdict, model_version, policy_version, kernel_version, fate, reasons, repairs, inclusion_ppm, drawn_from"
)
_ADD_TO_PANES = """
INSERT INTO speed.panes AS p (topic_id, partition, community, start_us, model_version, policy_version,
                              comments, reviews, removals, score_sum, late, first_offset, reopened_until_us)
SELECT %s, * FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::text[], %s::text[],
                         %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
                         %s::bigint[])
ON CONFLICT (topic_id, partition, start_us, community, model_version, policy_version) DO UPDATE SET
    comments = p.comments + excluded.comments, reviews = p.reviews + excluded.reviews,
    removals = p.removals + excluded.removals, score_sum = p.score_sum + excluded.score_sum,
    late = p.late + excluded.late, first_offset = least(p.first_offset, excluded.first_offset),
    reopened_until_us = greatest(p.reopened_until_us, excluded.reopened_until_us)
"""


def decision_lines(topic_id: UUID, rows: Sequence[DecisionRow], versions: Versions) -> list[str]:
    """Format decisions as lines for COPY, in the order of the columns."""
    version_columns = "\t".join(
        map(copy_format.text, (versions.model_version, versions.policy_version, versions.kernel_version))
    )
    topic = str(topic_id)
    return [
        f"{_day_text(row.append_us // DAY_US)}\t{topic}\t{row.partition}\t{row.offset}\t{row.append_us}\t"
        f"{copy_format.text(row.comment_id)}\t{copy_format.text(row.community)}\t{row.event_time_us}\t"
        f"{copy_format.binary(row.record_id)}\t{row.score_ppm}\t{row.verdict}\t{version_columns}\t{row.fate}\t"
        f"{copy_format.NULL if row.reasons is None else copy_format.text(orjson.dumps(row.reasons).decode())}\t"
        f"{','.join(row.repairs) or copy_format.NULL}\t"
        f"{copy_format.NULL if row.inclusion_ppm is None else row.inclusion_ppm}\t"
        f"{row.drawn_from or copy_format.NULL}\n"
        for row in rows
    ]


@lru_cache(maxsize=64)
def _day_text(number: int) -> str:
    return str(day_of(number * DAY_US))


def copy_decisions(cursor: Cursor, topic_id: UUID, batch: Batch) -> None:
    """Copy the decisions of a batch into the ledger."""
    lines = decision_lines(topic_id, batch.decisions, batch.versions)
    if lines:
        with cursor.copy(f"COPY speed.decisions ({_DECISION_COLUMNS}) FROM STDIN") as copy:
            copy.write("".join(lines))


def copy_dead_letters(cursor: Cursor, topic_id: UUID, letters: list[tuple[int, int, DeadLetter]], rules: Rules) -> None:
    """Copy dead letters (partition, offset, letter) into the ledger, with the version of the rules that read them."""
    lines = [
        f"{topic_id}\t{partition}\t{offset}\t{letter.append_us}\t{letter.reason}\t"
        f"{copy_format.text(letter.detail)}\t{copy_format.binary(letter.raw)}\t{letter.raw_length}\t{letter.raw_sha256}\t"
        f"{rules.version}\n"
        for partition, offset, letter in letters
    ]
    if lines:
        columns = 'topic_id, partition, "offset", append_us, reason, detail, raw, raw_length, raw_sha256, rules_version'
        with cursor.copy(f"COPY speed.dead_letters ({columns}) FROM STDIN") as copy:
            copy.write("".join(lines))


def copy_holes(cursor: Cursor, table: str, topic_id: UUID, holes: Sequence[Hole]) -> None:
    """Copy holes into ``speed.holes`` or ``batch.holes``."""
    lines = [
        f"{topic_id}\t{hole.partition}\t{hole.first}\t{hole.next}\t{hole.kind}\t{hole.append_us}\t"
        f"{copy_format.text(hole.cause)}\n"
        for hole in holes
    ]
    if lines:
        columns = "topic_id, partition, first_offset, next_offset, kind, append_us, cause"
        with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            copy.write("".join(lines))


def add_to_panes(
    cursor: Cursor, topic_id: UUID, panes: Mapping[PaneKey, PaneSums], closed_until_us: int | None = None
) -> None:
    """Add the sums of a batch to its panes; create missing panes.

    Args:
        cursor: cursor of the transaction of the batch.
        topic_id: id of the source topic.
        panes: sums by pane.
        closed_until_us: time up to which windows of the topic were closed before the batch; None if none was.
    """
    if not panes:
        return
    rows = [
        (
            key.partition,
            key.community,
            key.start_us,
            key.model_version,
            key.policy_version,
            sums.comments,
            sums.reviews,
            sums.removals,
            sums.score_sum,
            sums.late,
            sums.first_offset,
            closed_until_us if sums.comments and is_reopened(key.start_us, closed_until_us) else None,
        )
        for key, sums in panes.items()
    ]
    cursor.execute(_ADD_TO_PANES, (topic_id, *map(list, zip(*rows, strict=True))))
