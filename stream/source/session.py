"""One run of the source: send due arrivals, log deliveries, store checkpoints. Used by :func:`send_all` and the app."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Self

from moderation.adapters.kafka.access import require_accepted
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import ACTIONS, COMMENTS, describe_topic_ids
from moderation.contracts import MAX_RECORD_BYTES
from moderation.datasets.history import BadRow
from moderation.datasets.synthetic import Arrival
from moderation.settings import Settings
from stream.source.arrivals import arrivals_of
from stream.source.checkpoint import Checkpoint, exclusive_run, save_checkpoint
from stream.source.delivery_log import DELIVERIES, REFUSALS, Delivered, DurableLines
from stream.source.outcome import RefusedRecord, SendResult
from stream.source.pacing import Schedule
from stream.source.plan import SendPlan
from stream.source.producer import BatchProducer
from stream.source.resume import chained_digest, remaining_arrivals, start_or_resume
from stream.source.time_shift import shifted

BATCH_MOST_RECORDS = 5_000
BATCH_MOST_BYTES = 16 * 1024 * 1024
_LONGEST_WAIT_SECONDS = 0.1
# Reconnects at most twice a second instead of twenty times.
_PATIENT = {"reconnect.backoff.ms": "500", "reconnect.backoff.max.ms": "5000"}
_log = logging.getLogger(__name__)


def send_all(settings: Settings, plan: SendPlan, on_progress: Callable[[SendResult], None]) -> SendResult:
    """Send the arrivals of a plan at its pace, after those of the last run; return when all are acknowledged.

    Args:
        settings: broker and topic prefix.
        plan: what to send.
        on_progress: called after every batch; an error that it raises ends the run, which can be resumed.

    Returns:
        The records that this run sent.

    Raises:
        ConfigurationError: the state folder belongs to another input or is in use, a topic does not exist, or the
            brokers do not accept the connection.
        DatasetError: the input cannot be read, or differs from what was acknowledged earlier.
        KafkaException: the broker cannot be reached or did not accept a record; start again to continue.
        OSError: delivery log or checkpoint cannot be written.
    """
    with Session(settings, plan) as session:
        while not session.exhausted:
            if session.send_due():
                on_progress(session.sent)
            else:
                time.sleep(session.wait_seconds())
        return session.sent


class Session:
    """Context manager of a run; used by one thread at a time. Raises the errors of :func:`send_all`.

    Args:
        settings: broker and topic prefix.
        plan: what to send.
    """

    def __init__(self, settings: Settings, plan: SendPlan) -> None:
        self._kafka = kafka_of(settings)
        self._plan = plan
        self._topics = {topic.name: settings.topic_prefix + topic.name for topic in (COMMENTS, ACTIONS)}
        self._opened = ExitStack()
        self._begun_seconds = 0.0
        self._checkpoint: Checkpoint
        self._schedule: Schedule
        self._deliveries: DurableLines
        self._refusals: DurableLines
        self._producer: BatchProducer
        self.sent = SendResult()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(exclusive_run(self._plan.state))
            require_accepted(self._kafka)
            ids = describe_topic_ids(self._kafka.with_settings(_PATIENT), self._topics.values())
            target = ", ".join(f"topic {name} with id {topic_id}" for name, topic_id in sorted(ids.items()))
            self._checkpoint = start_or_resume(self._plan, target)
            arrivals = shifted(arrivals_of(self._plan, _warn_of_bad_row), self._checkpoint.shift_us)
            self._schedule = Schedule(remaining_arrivals(self._checkpoint, arrivals, self._plan), self._plan.pace)
            self._deliveries = DurableLines(self._plan.state / DELIVERIES)
            opening.callback(self._deliveries.close)
            self._refusals = DurableLines(self._plan.state / REFUSALS)
            opening.callback(self._refusals.close)
            self._producer = BatchProducer(self._kafka)
            opening.callback(self._producer.close)
            self._opened = opening.pop_all()
        self._begun_seconds = time.monotonic()
        self.sent = SendResult(resumed_after=self._checkpoint.arrivals)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._opened.close()

    @property
    def exhausted(self) -> bool:
        """Whether every arrival is processed."""
        return self._schedule.next_due_us is None

    def wait_seconds(self) -> float:
        """Return the seconds until the next arrival is due, at most 0.1."""
        due_us = self._schedule.next_due_us or 0
        return min(max(due_us / 1e6 - self._elapsed_seconds(), 0.0), _LONGEST_WAIT_SECONDS)

    def send_due(self) -> int:
        """Send one batch of due arrivals; on return it is acknowledged, logged and in the checkpoint.

        Returns:
            Number of arrivals; 0 if none was due.

        Raises:
            KafkaException: the broker did not accept it; the checkpoint stays, so the next run sends the batch again.
            DatasetError: the input cannot be read further.
            OSError: delivery log or checkpoint cannot be written.
        """
        batch = self._schedule.due(int(self._elapsed_seconds() * 1e6), BATCH_MOST_RECORDS, BATCH_MOST_BYTES)
        if batch:
            self._send(batch)
        return len(batch)

    def _send(self, batch: list[Arrival]) -> None:
        refused = self._refuse_too_large(batch)
        # Actions are sent after the comments before them are acknowledged, so that no action precedes its comment.
        comments = self._deliver(COMMENTS.name, batch)
        actions = self._deliver(ACTIONS.name, batch)
        self._deliveries.append(comments)
        self._refusals.append([asdict(each) for each in refused])
        done = self._checkpoint
        self._checkpoint = replace(
            done,
            arrivals=done.arrivals + len(batch),
            comments=done.comments + len(comments),
            actions=done.actions + len(actions),
            refused=done.refused + len(refused),
            digest=chained_digest(done.digest, batch),
        )
        save_checkpoint(self._plan.state, self._checkpoint)
        self.sent = replace(
            self.sent,
            comments=self.sent.comments + len(comments),
            actions=self.sent.actions + len(actions),
            seconds=self._elapsed_seconds(),
            refused=(*self.sent.refused, *refused),
        )

    def _refuse_too_large(self, batch: list[Arrival]) -> list[RefusedRecord]:
        first = self._plan.skip + self._checkpoint.arrivals + 1
        refused = [
            RefusedRecord(number, arrival.topic, arrival.key, len(arrival.value))
            for number, arrival in enumerate(batch, start=first)
            if len(arrival.value) > MAX_RECORD_BYTES
        ]
        for each in refused:
            _log.warning("refused: %s", each)
        return refused

    def _deliver(self, name: str, batch: list[Arrival]) -> list[Delivered]:
        topic = self._topics[name]
        records = [
            (arrival.key.encode(), arrival.value)
            for arrival in batch
            if arrival.topic == name and len(arrival.value) <= MAX_RECORD_BYTES
        ]
        answers = self._producer.send(topic, records) if records else []
        return [
            Delivered(
                topic=topic,
                partition=answer.partition,
                offset=answer.offset,
                sha256=hashlib.sha256(value).hexdigest(),
                sent_us=answer.sent_us,
                acknowledged_us=answer.acknowledged_us,
            )
            for (_, value), answer in zip(records, answers, strict=True)
        ]

    def _elapsed_seconds(self) -> float:
        return time.monotonic() - self._begun_seconds


def _warn_of_bad_row(bad: BadRow) -> None:
    _log.warning("line %d is not a comment and is left out: %s", bad.line, bad.cause)
