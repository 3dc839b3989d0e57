"""Close dead letters by replays, and store corrections, in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg

from moderation.contracts import Content, LetterContents, RecordPosition, ReplayOutcome, replay_outcome
from moderation.ledger import ReplayClaim

Cursor = psycopg.Cursor[tuple[Any, ...]]
ReplayResult = tuple[ReplayClaim, ReplayOutcome]

_CONTENTS = """
SELECT d.topic_id, d.partition, d."offset", d.raw_length, d.raw_sha256, d.corrected_length, d.corrected_sha256,
       d.replayed_as_offset IS NOT NULL
  FROM unnest(%s::uuid[], %s::int[], %s::bigint[]) AS named (topic_id, partition, pos)
  JOIN speed.dead_letters d ON d.topic_id = named.topic_id AND d.partition = named.partition AND d."offset" = named.pos
"""
_CLOSE = """
UPDATE speed.dead_letters SET replayed_as_topic_id = %s, replayed_as_partition = %s, replayed_as_offset = %s
 WHERE topic_id = %s AND partition = %s AND "offset" = %s AND replayed_as_offset IS NULL
"""
_CORRECT = """
UPDATE speed.dead_letters SET corrected_length = %s, corrected_sha256 = %s
 WHERE topic_id = %s AND partition = %s AND "offset" = %s
"""


def letter_contents(cursor: Cursor, positions: Iterable[RecordPosition]) -> dict[RecordPosition, LetterContents]:
    """Read the contents that replays of dead letters may have; positions without a dead letter are left out."""
    named = sorted(set(positions))
    if not named:
        return {}
    cursor.execute(_CONTENTS, tuple(map(list, zip(*named, strict=True))))
    return {
        RecordPosition(*row[:3]): LetterContents(
            Content(row[3], row[4]), None if row[5] is None else Content(row[5], row[6]), row[7]
        )
        for row in cursor.fetchall()
    }


def close_replayed(cursor: Cursor, topic_id: UUID, claims: Sequence[ReplayClaim]) -> list[ReplayResult]:
    """Close the dead letters that decided records repeat; the first replay stays recorded.

    Args:
        cursor: cursor of the transaction that stores the decisions.
        topic_id: topic id of the decided records; the dead letters may be of an earlier topic.
        claims: claims of the decided records.

    Returns:
        Every claim with its outcome.
    """
    if not claims:
        return []
    letters = letter_contents(cursor, [claim.letter for claim in claims if claim.letter is not None])
    results = []
    # Sorted by dead letter, so that workers of two partitions take row locks in the same order.
    for claim in sorted(claims, key=_lock_order):
        letter = letters.get(claim.letter) if claim.letter is not None else None
        outcome = replay_outcome(claim.letter, claim.content, letter)
        if outcome is ReplayOutcome.CLOSED and claim.letter is not None and letter is not None:
            cursor.execute(_CLOSE, (topic_id, claim.partition, claim.offset, *claim.letter))
            letters[claim.letter] = replace(letter, is_closed=True)
            if cursor.rowcount != 1:
                outcome = ReplayOutcome.REPEATED
        results.append((claim, outcome))
    return results


def store_correction(cursor: Cursor, letter: RecordPosition, content: Content) -> None:
    """Store the content that an operator will send in place of a dead letter. The last correction counts."""
    cursor.execute(_CORRECT, (*content, *letter))


def _lock_order(claim: ReplayClaim) -> tuple[object, ...]:
    named = claim.letter
    return (named is not None, *(named or ()), claim.partition, claim.offset)
