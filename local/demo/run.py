"""The demonstration: send a history, train, decide live, retrain, promote, and check every record at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from getpass import getuser
from pathlib import Path

import numpy as np
import psycopg
from confluent_kafka import KafkaError, Message, Producer
from sklearn.metrics import roc_auc_score

from batch.progress import OnProgress
from local.demo import traffic
from local.demo.airflow_runs import AirflowRuns
from local.demo.batch_layer import DemoBatch
from local.demo.model_loop import LoopReport, ModelLoop
from local.demo.reconcile_all import ReconcileTotals
from local.oracle import DeliveryReport, OracleReport, read_messages, verify
from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from local.stack.wait import wait_until
from local.stack.worker import stack_settings
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import describe_topic_ids, producer_settings, topic_uuid
from moderation.bootstrap import register, train_to_folder
from moderation.errors import PublishingFailed
from moderation.policy import ExplorationShares, Goal
from moderation.settings import Settings, required
from moderation.training.outcome import TrainReport
from stream.source import AtRate, SendResult, read_delivery_log, send_all

_PARTS = (traffic.HISTORY, traffic.LIVE, traffic.REST)
_COPIED = 2
_DELIVERY_SECONDS = 30.0
_EXPLORATION = ExplorationShares(removals=0.2)
"""Of a week with 90 removals a day, the default of 1 % draws about six. Each would represent a hundred comments, and a
few draws more or less would decide whether the gate passes the retrained version."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A decision other than ``allow``, with its strongest tokens."""

    community: str
    comment_id: str
    score_ppm: int
    verdict: str
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class LiveView:
    """Present state of the live part: counts by verdict, and the newest alerts."""

    verdicts: dict[str, int]
    alerts: list[Alert]


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """Result of the demonstration.

    Attributes:
        comparison: the oracle's comparison of topic, ledger and delivery reports.
        live_comments: comments sent live.
        live_per_s: how many of them were sent a second.
        latency_p50_ms, latency_p99_ms: from the broker's append of a comment to that of its published decision.
        live_auc: ROC AUC of the live part's scores against what people did.
        archived: contents of the lake, see :meth:`DemoBatch.inspect`.
        reconciled: what explains the gaps between batch and speed, see :meth:`DemoBatch.reconciled`.
        loop: retraining, gate and promotion.
        seconds: duration of each step.
    """

    comparison: OracleReport
    live_comments: int
    live_per_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    live_auc: float
    archived: dict[str, int]
    reconciled: ReconcileTotals
    loop: LoopReport
    seconds: Mapping[str, float]

    @property
    def is_exact(self) -> bool:
        """Whether oracle, lake and reconciliation found no faults and no defects."""
        return self.comparison.is_exact and self.reconciled.is_sound and not self.archived["defects"]


class Demo:
    """One demonstration on a stack that is up.

    Args:
        layout: of the stack.
        info: its addresses.
        csv: an r/science export; generated traffic if None.
    """

    def __init__(self, layout: StackLayout, info: StackInfo, csv: Path | None) -> None:
        self.settings: Settings = stack_settings(layout, info)
        self._layout = layout
        self._info = info
        self._folder = layout.demo
        self._topic = self.settings.topic_prefix + "comments"
        self._database_url = required(self.settings.database_url, "database_url")
        self._topic_id = str(topic_uuid(describe_topic_ids(info.kafka, [self._topic])[self._topic]))
        self._traffic = traffic.prepare(self._folder, csv)
        self._live_from: dict[int, int] = {}
        self._live_to: dict[int, int] = {}
        self._live_sent = SendResult()
        self._copies: list[DeliveryReport] = []

    def send_history(self) -> SendResult:
        """Send the history as fast as the brokers accept it."""
        return send_all(self.settings, self._traffic.plan(traffic.HISTORY, self._folder), lambda sent: None)

    def train(self, goals: list[Goal], on_progress: OnProgress) -> tuple[TrainReport, str]:
        """Train on the history and register; returns the report and the version."""
        end_us = self._traffic.history_end_us
        rows = traffic.labelled(self._traffic.origin)
        labelled = ((row.comment, row.removed) for row in rows if row.comment.event_time_us < end_us)
        report = train_to_folder(
            labelled, self._folder / "model", goals, self.settings, exploration=_EXPLORATION, on_progress=on_progress
        )
        on_progress("registering and certifying")
        reason, origin = "the demonstration's first model", "moderation demo"
        registered = register(self._folder / "model", self.settings, reason, by=getuser(), requested_from=origin)
        return report, registered.version

    def wait_for_worker(self, seconds: float = 300) -> None:
        """Wait until the worker has decided everything that was sent."""
        delivered = self._delivered()
        wait_until(
            lambda: sum(self._positions().values()) >= delivered,
            seconds=seconds,
            description="the worker to decide what was sent",
        )

    def send_live(self, per_s: float, on_progress: Callable[[SendResult], None]) -> None:
        """Send the live part at a rate and report the progress."""
        self._live_from = self._positions()
        plan = replace(self._traffic.plan(traffic.LIVE, self._folder), pace=AtRate(per_s))
        self._live_sent = send_all(self.settings, plan, on_progress)

    def send_rest(self, per_s: float) -> None:
        """Send the rest at a rate."""
        plan = replace(self._traffic.plan(traffic.REST, self._folder), pace=AtRate(per_s))
        send_all(self.settings, plan, lambda sent: None)

    def send_copies(self) -> None:
        """Send the newest comments again, to every other partition, as producers with another partitioner would.

        The speed layer detects copies within one partition. It counts those in other partitions; the batch finds them.

        Raises:
            PublishingFailed: the brokers do not confirm them.
        """
        self._live_to = self._positions()
        with psycopg.connect(self._database_url) as connection:
            newest = connection.execute(
                "SELECT partition, \"offset\" FROM speed.decisions WHERE topic_id = %s AND fate = 'counted' "
                "ORDER BY event_time_us DESC LIMIT %s",
                (self._topic_id, _COPIED),
            ).fetchall()
        kafka = kafka_of(self.settings)
        values = {position: value for position, value, _ in read_messages(kafka, self._topic) if position in newest}
        producer = Producer(producer_settings(kafka, _DELIVERY_SECONDS))

        def note(error: KafkaError | None, message: Message) -> None:
            partition, offset, value = message.partition(), message.offset(), message.value()
            if error is None and partition is not None and offset is not None and value is not None:
                self._copies.append(DeliveryReport(partition, offset, hashlib.sha256(value).hexdigest()))

        sent = 0
        partitions = self._positions().keys()
        for (partition, _), value in values.items():
            for other in sorted(partitions - {partition}):
                producer.produce(self._topic, value, partition=other, on_delivery=note)
                sent += 1
        producer.flush(2 * _DELIVERY_SECONDS)
        if len(self._copies) != sent:
            raise PublishingFailed(
                f"topic {self._topic}", f"{sent - len(self._copies)} copies were not confirmed", "See the broker's log."
            )

    def live_view(self) -> LiveView:
        """Return what moderators would see now."""
        with psycopg.connect(self._database_url) as connection:
            counts = connection.execute(
                "SELECT verdict, count(*) FROM speed.decisions d "
                "JOIN unnest(%s::int[], %s::bigint[]) AS live(part, start) ON d.partition = live.part "
                'WHERE topic_id = %s AND d."offset" >= live.start GROUP BY 1',
                (list(self._live_from), list(self._live_from.values()), self._topic_id),
            ).fetchall()
            alerts = connection.execute(
                "SELECT community, comment_id, score_ppm, verdict, reasons FROM speed.decisions WHERE topic_id = %s "
                "AND verdict <> 'allow' ORDER BY append_us DESC LIMIT 8",
                (self._topic_id,),
            ).fetchall()
        return LiveView(dict(counts), [Alert(*row) for row in alerts])

    def airflow(self) -> AirflowRuns:
        """Return the runs of the stack's Airflow.

        Raises:
            StackError: Airflow is not available.
        """
        return AirflowRuns(self._layout, self._info)

    def batch(self, runs: AirflowRuns) -> DemoBatch:
        """Return the batch layer."""
        return DemoBatch(runs, self.settings)

    def loop(self, runs: AirflowRuns) -> ModelLoop:
        """Return the loop of retraining and promotion."""
        return ModelLoop(runs, self._database_url, self._topic_id)

    def retraining_form(self) -> dict[str, object]:
        """Return what the form of ``retrain_model`` must state for this traffic; empty if it stays untouched."""
        return self._traffic.form()

    def summary(
        self, archived: dict[str, int], reconciled: ReconcileTotals, loop: LoopReport, seconds: Mapping[str, float]
    ) -> DemoSummary:
        """Compare everything and measure the live part.

        Args:
            archived: contents of the lake, from :class:`DemoBatch`.
            reconciled: sums of the reconciled days, from :class:`DemoBatch`.
            loop: from :class:`ModelLoop`.
            seconds: duration of each step so far.
        """
        reports = [
            DeliveryReport(report.partition, report.offset, report.sha256)
            for folder in _PARTS
            for report in read_delivery_log(self._folder / folder)
            if report.topic == self._topic
        ] + self._copies
        kafka = kafka_of(self.settings)
        self._wait_published()
        comparison = verify(kafka, self._database_url, self.settings.topic_prefix, self._topic_id, reports)
        appended = {position: time_ms for position, _, time_ms in read_messages(kafka, self._topic)}
        latency_ms = [
            time_ms - appended[position]
            for position, time_ms in self._decided().items()
            if self._live_from.get(position[0], 0) <= position[1] < self._live_to[position[0]]
        ]
        p50, p99 = np.percentile(latency_ms, (50, 99))
        sent = self._live_sent
        return DemoSummary(
            comparison,
            sent.comments,
            sent.comments / max(sent.seconds, 1e-9),
            float(p50),
            float(p99),
            self._live_auc(),
            archived,
            reconciled,
            loop,
            seconds,
        )

    def _wait_published(self) -> None:
        """Wait until all is published; the worker records that when its stream is idle."""

        def behind() -> int:
            with psycopg.connect(self._database_url) as connection:
                row = connection.execute(
                    "SELECT count(*) FROM speed.source_offsets WHERE topic_id = %s AND (published_next < next "
                    # Panes are published whenever the watermark passes the end of one.
                    "OR coalesce(panes_published_us, 0) / 300000000 < (newest_event_us - 600000000) / 300000000)",
                    (self._topic_id,),
                ).fetchone()
            return int(row[0]) if row else 0

        wait_until(lambda: behind() == 0, seconds=60, description="every decision and closed pane on its topic")

    def _positions(self) -> dict[int, int]:
        with psycopg.connect(self._database_url) as connection:
            rows = connection.execute(
                "SELECT partition, next FROM speed.source_offsets WHERE topic_id = %s", (self._topic_id,)
            ).fetchall()
        return {row[0]: row[1] for row in rows}

    def _delivered(self) -> int:
        """Return the number of comments that the brokers have confirmed."""
        return len(self._copies) + sum(
            report.topic == self._topic
            for folder in _PARTS
            if (self._folder / folder).exists()
            for report in read_delivery_log(self._folder / folder)
        )

    def _decided(self) -> dict[tuple[int, int], int]:
        """Return when each decision was first published, in milliseconds, by the position of its comment."""
        times: dict[tuple[int, int], int] = {}
        topic = self.settings.topic_prefix + "decisions"
        for _, value, time_ms in read_messages(kafka_of(self.settings), topic):
            fields = json.loads(value)
            position = (fields["partition"], fields["offset"])
            times[position] = min(time_ms, times.get(position, time_ms))
        return times

    def _live_auc(self) -> float:
        start_us, end_us = self._traffic.history_end_us, self._traffic.live_end_us
        labels = {
            row.comment.comment_id: row.removed
            for row in traffic.labelled(self._traffic.origin)
            if start_us <= row.comment.event_time_us < end_us
        }
        with psycopg.connect(self._database_url) as connection:
            rows = connection.execute(
                "SELECT comment_id, score_ppm FROM speed.decisions WHERE topic_id = %s", (self._topic_id,)
            ).fetchall()
        pairs = [(labels[row[0]], row[1]) for row in rows if row[0] in labels]
        return float(roc_auc_score([removed for removed, _ in pairs], [score for _, score in pairs]))
