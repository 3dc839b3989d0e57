"""Conditions that need an operator although the worker decides, read from topics and database."""

from __future__ import annotations

import time

import psycopg
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.open_transactions import open_transactions
from moderation.adapters.kafka.topics import ACTIONS, ALERTS, COMMENTS, DECISIONS, PANES, missing_topics
from moderation.adapters.lake.archive_delay import NEAR_RATIO, ArchiveDelay, archive_delays
from moderation.adapters.reconciliation.runs import NIGHT_HOURS
from moderation.adapters.registry.registry import PRODUCTION
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.kept_models import served_last
from moderation.adapters.sql.locks import stranded_locks
from moderation.adapters.sql.partitions import partition_state
from moderation.bootstrap import registry
from moderation.errors import ModerationError, TopicsMissing
from moderation.settings import Settings, required
from moderation.timestamps import DAY_US, HOUR_US, now_us
from stream.worker.model_watch import FIRST_START

_FEWEST_DAYS_AHEAD = 7
_UNREADABLE_HOURS = 24
_FROZEN_DAYS = 7
_UNREADABLE = """
SELECT o.topic, h.partition, h.first_offset, h.next_offset, h.cause
  FROM (SELECT * FROM speed.holes UNION SELECT * FROM batch.holes) h
  JOIN (SELECT topic_id, topic FROM speed.source_offsets UNION SELECT topic_id, topic FROM batch.files) o
 USING (topic_id)
 WHERE h.kind = 'unreadable' AND h.append_us >= %s ORDER BY h.append_us DESC
"""
_ACTIONS = """
SELECT partition, "offset", reason, field, count(*) OVER ()
  FROM batch.action_dead_letters WHERE topic = %s AND archived_us >= %s
 ORDER BY archived_us DESC, append_us DESC LIMIT 1
"""
_STORED_SCORES = """
SELECT count(DISTINCT r.day), sum(s.rows)::bigint,
       (array_agg(s.model_version || ': ' || s.reason ORDER BY r.day DESC))[1]
  FROM (SELECT DISTINCT ON (day) run_id, day, finished_us FROM batch.runs WHERE topic = %s
         ORDER BY day, revision DESC) r
  JOIN batch.stored_scores s USING (run_id) WHERE r.finished_us >= %s
"""
_LATE_FROZEN = """
SELECT count(*), sum(late_after)::bigint, max(day) FROM serving.day_states
 WHERE topic = %s AND late_after > 0 AND frozen_us >= %s
"""


def attention(settings: Settings) -> list[str]:
    """Describe what needs an operator, besides parts that do not answer.

    Open transactions, missing topics, unreadable records, a late archive, days that were not recomputed completely,
    missing partitions of tables, and locks of sessions that do nothing.
    """
    kafka = kafka_of(settings)
    try:
        open_ones = open_transactions(kafka, settings.topic_prefix + COMMENTS.name)
    except (KafkaException, KafkaError) as error:
        transactions = [f"Kafka does not report whether transactions are open: {error}"]
    else:
        transactions = [each.message(kafka) for each in open_ones]
    transactions += _missing(settings)
    url = required(settings.database_url, "database_url")
    try:
        unreadable = (
            _unreadable(url) + _unreadable_actions(url, settings.topic_prefix + ACTIONS.name) + _unarchived(settings)
        )
        unreadable += _not_recomputed(url, settings.topic_prefix + COMMENTS.name)
    except psycopg.Error as error:
        return [*transactions, f"PostgreSQL does not report which records could not be read: {error}"]
    return [*transactions, *unreadable, *_partitions(url), *_stranded(url)]


def missing_model(settings: Settings) -> list[str]:
    """Describe what to do if workers wait because no version is in production and none has decided; else nothing."""
    try:
        if registry(settings).resolve(PRODUCTION) is not None:
            return []
        with connected(required(settings.database_url, "database_url")) as connection:
            if served_last(connection, settings.topic_prefix + COMMENTS.name) is not None:
                return []
    except ModerationError:
        return []  # the state of MLflow and PostgreSQL is reported
    return [FIRST_START]


def _missing(settings: Settings) -> list[str]:
    names = [settings.topic_prefix + topic.name for topic in (DECISIONS, ALERTS, PANES)]
    try:
        missing = missing_topics(kafka_of(settings), names)
    except KafkaException:
        return []  # the open transactions already report that Kafka is unavailable
    return [str(TopicsMissing(missing))] if missing else []


def _unarchived(settings: Settings) -> list[str]:
    """Report partitions whose oldest unarchived record will soon be deleted by the topic's retention."""
    topics = [settings.topic_prefix + topic.name for topic in (COMMENTS, ACTIONS)]
    try:
        with psycopg.connect(required(settings.database_url, "database_url"), connect_timeout=5) as connection:
            delays = archive_delays(kafka_of(settings), connection, topics)
    except (KafkaException, KafkaError) as error:
        return [f"Kafka does not report how old the records are that are not archived: {error}"]
    current_us = now_us()
    return [
        f"{delay.topic_partition}: {delay.waiting:,} offsets from {delay.next_offset} on are not archived, and the "
        f"topic may delete the oldest {_when(delay, current_us)}; `moderation archive` archives them"
        for delay in delays
        if delay.used_ratio(current_us) > NEAR_RATIO
    ]


def _when(delay: ArchiveDelay, current_us: int) -> str:
    if delay.used_ratio_by_size > NEAR_RATIO:
        return f"soon: they take {delay.used_ratio_by_size:.0%} of its limit by size (retention.bytes)"
    return f"in {max(0.0, delay.seconds_left(current_us) or 0.0) / 3_600:,.1f} h"


def _unreadable(url: str) -> list[str]:
    since_us = round((time.time() - _UNREADABLE_HOURS * 3_600) * 1e6)
    with psycopg.connect(url, connect_timeout=5) as connection:
        rows = connection.execute(_UNREADABLE, (since_us,)).fetchall()
    if not rows:
        return []
    count = sum(next_offset - first for _, _, first, next_offset, _ in rows)
    topic, partition, first, next_offset, cause = rows[0]
    return [
        f"{count:,} records of the last {_UNREADABLE_HOURS} hours could not be read and are lost, newest: "
        f"topic {topic} partition {partition} offsets [{first}, {next_offset}): {cause}; "
        "speed.holes and batch.holes have all of them"
    ]


def _unreadable_actions(url: str, topic: str) -> list[str]:
    since_us = round((time.time() - _UNREADABLE_HOURS * 3_600) * 1e6)
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(_ACTIONS, (topic, since_us)).fetchone()
    if row is None:
        return []
    partition, offset, reason, field, count = row
    return [
        f"{count:,} actions archived in the last {_UNREADABLE_HOURS} hours cannot be read and label nothing, newest: "
        f"topic {topic} partition {partition} offset {offset}: {reason}{f' ({field})' if field else ''}; "
        "`moderation dead-letters list --topic actions` shows them"
    ]


def _not_recomputed(url: str, topic: str) -> list[str]:
    """Report days of the last nights with stored scores, and frozen days that got comments."""
    current_us = now_us()
    with psycopg.connect(url, connect_timeout=5) as connection:
        stored = connection.execute(_STORED_SCORES, (topic, current_us - NIGHT_HOURS * HOUR_US)).fetchone()
        late = connection.execute(_LATE_FROZEN, (topic, current_us - _FROZEN_DAYS * DAY_US)).fetchone()
    reasons = []
    if stored is not None and stored[0]:
        days, rows, example = stored
        reasons.append(
            f"{days} days that were reconciled in the last {NIGHT_HOURS} hours have stored scores for {rows:,} "
            f"records, because a version cannot be opened any more: version {example}"
        )
    if late is not None and late[0]:
        days, comments, newest = late
        reasons.append(
            f"{comments:,} comments came for {days} days that were frozen in the last {_FROZEN_DAYS} days, newest "
            f"{newest}; they are in the lake and not reconciled, see serving.day_states"
        )
    return reasons


def _partitions(url: str) -> list[str]:
    try:
        state = partition_state(url)
    except ModerationError as error:
        return [f"the partitions of speed.decisions cannot be read: {error}"]
    reasons = []
    if state.days_ahead < _FEWEST_DAYS_AHEAD:
        reasons.append(
            f"only {max(state.days_ahead, 0)} days ahead have a partition of speed.decisions; "
            "run `moderation partitions`, the nightly DAG does"
        )
    if state.default_rows:
        reasons.append(
            f"{state.default_rows:,} decisions are in speed.decisions_default, because their day had no partition; "
            "`moderation partitions` moves them"
        )
    return reasons


def _stranded(url: str) -> list[str]:
    try:
        with connected(url) as connection:
            return [lock.message for lock in stranded_locks(connection)]
    except ModerationError as error:
        return [f"PostgreSQL does not report which sessions hold locks: {error}"]
