"""Three weeks of generated traffic and moderator actions in a lake, for training, gate and drift."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
from confluent_kafka import Producer

from batch.archive.run import archive_topics
from batch.run_interval import Interval
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import ensure_topics, producer_settings
from moderation.adapters.reconciliation.runs import Run, add_run
from moderation.contracts import ActionKind, Comment, parse_action, parse_record
from moderation.datasets.synthetic import TrafficConfig, generate
from moderation.errors import InvalidRecord
from moderation.settings import Settings, required
from moderation.timestamps import now_us

DAY_US = 86_400_000_000
MATURITY_US = 2 * DAY_US
TRAFFIC = TrafficConfig(
    seed=5, days=21, comments_per_day=300, late_share=0.02, duplicate_share=0.02, edit_share=0.05, broken_share=0.01
)
END = datetime.fromtimestamp((TRAFFIC.start_us + TRAFFIC.days * DAY_US) // 1_000_000, UTC)
WINDOW = Interval(TRAFFIC.start_us, TRAFFIC.start_us + TRAFFIC.days * DAY_US)


@dataclass(frozen=True)
class History:
    """Lake with the traffic.

    Attributes:
        settings: settings with the lake and a registered model of its own.
        values: values that were sent, by topic.
    """

    settings: Settings
    values: dict[str, list[bytes]]

    def labels(self, maturity_us: int) -> dict[bytes, bool | None]:
        """Return the last action before an edit by record id, None without one; texts edited before it are left out."""
        records: dict[bytes, Comment] = {}
        for value in self.values["comments"]:
            with suppress(InvalidRecord):
                comment = parse_record(value, 2**62)
                records.setdefault(comment.record_id(), comment)
        actions = [parse_action(value) for value in self.values["actions"]]
        labels: dict[bytes, bool | None] = {}
        for record_id, comment in records.items():
            later = [
                other.event_time_us
                for other in records.values()
                if other.comment_id == comment.comment_id and other.event_time_us > comment.event_time_us
            ]
            until_us = comment.event_time_us + maturity_us
            own = [
                action
                for action in actions
                if action.comment_id == comment.comment_id
                and comment.event_time_us <= action.action_time_us <= until_us
                and (not later or action.action_time_us < min(later))
            ]
            if own:
                labels[record_id] = max(own, key=lambda action: action.action_time_us).kind is ActionKind.REMOVE
            elif not later or min(later) > until_us:
                labels[record_id] = None
        return labels

    def reconcile(self, *, lost: int = 0, age_hours: float = 1) -> None:
        """Store a reconciliation with this many lost comments."""
        finished_us = now_us() - round(age_hours * 3_600_000_000)
        run = Run(
            topic=self.settings.topic_prefix + "comments",
            day=date(2026, 1, 2),
            state="final",
            engine="duckdb",
            begun_us=finished_us,
            finished_us=finished_us,
            cut={},
            digest=f"{finished_us}",
            panes=0,
            batch_comments=0,
            speed_comments=0,
            causes={},
            lost=lost,
            unexplained=0,
            phantom=0,
            residual=0,
            agreement={},
            kernel_version="0",
            code_version="0",
            differences_url="",
            started_by="a test",
        )
        with psycopg.connect(required(self.settings.database_url, "database_url"), autocommit=True) as connection:
            add_run(connection, run, [], [])


def history(settings: Settings, folder: Path, traffic: TrafficConfig = TRAFFIC) -> History:
    """Send the traffic to topics of the settings' prefix and archive it into a lake of its own."""
    ensure_topics(kafka_of(settings), prefix=settings.topic_prefix)
    values = send(settings, traffic)
    own = settings.model_copy(update={"lake_url": str(folder / "lake"), "state_folder": folder / "state"})
    archive_topics(own)
    return History(own, values)


def send(settings: Settings, traffic: TrafficConfig = TRAFFIC) -> dict[str, list[bytes]]:
    """Send the traffic to topics with the settings' prefix; return the values by topic."""
    producer = Producer(producer_settings(kafka_of(settings), 60))
    values: dict[str, list[bytes]] = {"comments": [], "actions": []}
    for arrival in generate(traffic):
        values[arrival.topic].append(arrival.value)
        while True:
            try:
                producer.produce(settings.topic_prefix + arrival.topic, arrival.value)
            except BufferError:
                producer.poll(0.1)
            else:
                break
    assert producer.flush(60) == 0
    return values
