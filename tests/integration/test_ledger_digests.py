"""Digests that PostgreSQL computes from the ledger's rows."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import psycopg

from local.stack.commands import StackInfo
from moderation.adapters.reconciliation.ledger_digests import AGES_US, digests_query
from moderation.adapters.sql.migrate import migrate_database
from moderation.timestamps import DAY_US, HOUR_US, day_of
from tests.support.reconcile_digests import WORDS, digests_of
from tests.support.reconcile_tables import Decided

START_US = 19_675 * DAY_US
FATES = ("counted", "late", "duplicate")
IDS = ("c1", "", "ciência|3", "a\\b'", "😀" * 40)
REASONS = ("", "[]", json.dumps(["é", '"', "\\", "a|b"], ensure_ascii=False))
_INSERT = """
INSERT INTO speed.decisions (append_day, topic_id, partition, "offset", append_us, comment_id, community,
                             event_time_us, record_id, score_ppm, verdict, model_version, policy_version,
                             kernel_version, fate, reasons, stored_us, repairs)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def rows_of(topic_id: uuid.UUID) -> list[Decided]:
    """Return rows with odd values; several share a group."""
    model = Decided(str(topic_id), 0, 0, START_US, "x", 0, 0, 0, START_US, "1", "p", "1", append_us=START_US)
    return [
        replace(
            model,
            part=pos % 2,
            pos=2**40 * (pos % 3) + pos,
            event_us=(event_us := START_US + HOUR_US * (pos % 4) + pos % 2 * (HOUR_US - 1)),
            append_us=event_us + 77 * pos,
            community="ciência" if pos % 5 else "x",
            score=pos * 1_000,
            verdict=pos % 3,
            fate=pos % 7 % 3,
            stored_us=event_us // HOUR_US * HOUR_US + HOUR_US + [-1, *AGES_US][pos % 7] + pos % 2,
            kernel_version=str(pos % 2),
            repairs=("", "cut,nul")[pos % 11 == 0],
            reasons=REASONS[pos % 3],
            comment_id=IDS[pos % 5],
            record_id=bytes([pos]) * (32 if pos % 4 else pos % 3),
        )
        for pos in range(200)
    ]


def test_postgresql_computes_the_digests_of_the_definition(stack: StackInfo) -> None:
    migrate_database(stack.database_url())
    topic_id = uuid.uuid4()
    rows = rows_of(topic_id)
    named = {"topics": str(topic_id), "first_append_day": day_of(START_US), "start_us": START_US}
    with psycopg.connect(stack.database_url()) as connection:
        for row in rows:
            numbers = (row.part, row.pos, row.append_us, row.comment_id, row.community, row.event_us, row.record_id)
            versions = (row.model_version, row.policy_version, row.kernel_version, FATES[row.fate])
            texts = (row.reasons or None, row.stored_us, row.repairs or None)
            values = (day_of(row.append_us), topic_id, *numbers, row.score, WORDS[row.verdict], *versions, *texts)
            connection.execute(_INSERT, values)
        ends = {part: sorted(row.pos for row in rows if row.part == part)[-2] for part in (0, 1)}
        named["ends"] = ", ".join(f"('{topic_id}'::uuid, {part}, {end}::bigint)" for part, end in ends.items())

        def is_beyond(row: Decided) -> bool:
            return row.pos >= ends[row.part]

        for version in (160_000, connection.info.server_version):
            query = digests_query(version).format(**named, end_us=START_US + DAY_US)
            assert sorted(connection.execute(query).fetchall()) == sorted(digests_of(rows, is_beyond)), version
        part = [row for row in rows if START_US + HOUR_US <= row.event_us < START_US + 2 * HOUR_US]
        named["start_us"] = START_US + HOUR_US
        query = digests_query(version).format(**named, end_us=START_US + 2 * HOUR_US)
        assert sorted(connection.execute(query).fetchall()) == sorted(digests_of(part, is_beyond))
        connection.execute("UPDATE speed.decisions SET stored_us = NULL WHERE topic_id = %s", (topic_id,))
        ages = {age for *_, age, _, _, _, _ in connection.execute(query).fetchall()}
        assert ages == {len(AGES_US)}
        connection.rollback()
