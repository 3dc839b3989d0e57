"""Check with plain clients that every record is decided exactly once and that ledger and topics agree.

The oracle reads Kafka to its end with an ordinary consumer and PostgreSQL with ordinary SQL. It compares both with each
other and with the producer's delivery reports. It shares no code with the worker: it has its own implementation of the
event-time rules.
"""

from __future__ import annotations

from collections.abc import Iterable

from local.oracle.comparison import FAULTS, DeliveryReport, OracleReport
from local.oracle.ledger import (
    Logged,
    compare_closings,
    compare_fates,
    compare_panes,
    compare_positions,
    compare_served,
    read_ledger,
)
from local.oracle.reading import log_ranges, read_keyed, read_messages, read_topic
from local.oracle.topics import compare_topics
from moderation.adapters.kafka.connection import KafkaConnection

__all__ = ["FAULTS", "DeliveryReport", "OracleReport", "log_ranges", "read_messages", "read_topic", "verify"]


def verify(
    kafka: KafkaConnection,
    database_url: str,
    topic_prefix: str,
    topic_id: str,
    delivered: Iterable[DeliveryReport] = (),
    *,
    topics_too: bool = True,
) -> OracleReport:
    """Compare the source topic, the ledger, the delivery reports and the topics written after the commit.

    Args:
        kafka: the connection.
        database_url: libpq URL of the ledger.
        topic_prefix: put before every topic's name.
        topic_id: the source topic's id as the ledger writes it, a UUID.
        delivered: delivery reports of the producer.
        topics_too: False if the worker may still publish.

    Raises:
        TimeoutError: a topic cannot be read to its end.
    """
    report = OracleReport()
    source = topic_prefix + "comments"
    log = {position: Logged.of(value) for position, value, _ in read_messages(kafka, source)}
    ledger = read_ledger(database_url, topic_id)
    ranges = log_ranges(kafka, source)
    compare_positions(report, log, ledger, delivered, ranges)
    compare_closings(report, log, ledger, ranges)
    compare_fates(report, ledger)
    compare_panes(report, ledger)
    compare_served(report, ledger)
    if topics_too:
        topics = [read_keyed(kafka, topic_prefix + name) for name in ("decisions", "alerts", "panes")]
        compare_topics(report, ledger, (source, topic_id), *topics)
    return report
