"""The demonstration: send history, train a model, send the rest live, and check every row at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psycopg
from confluent_kafka import KafkaError, Message, Producer
from sklearn.metrics import roc_auc_score

from batch.progress import OnProgress
from local.demo.batch_layer import DemoBatch
from local.demo.reconcile_all import ReconcileTotals
from local.oracle import DeliveryReport, OracleReport, read_messages, verify
from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from local.stack.wait import wait_until
from local.stack.worker import stack_settings
from moderation.adapters.kafka.topics import describe_topic_ids, producer_settings, topic_uuid
from moderation.bootstrap import TrainReport, register, train_to_folder
from moderation.datasets.history import LabelledComment
from moderation.datasets.recorded import read_history, write_history
from moderation.datasets.rscience import read_rscience
from moderation.datasets.synthetic import Arrival, TrafficConfig
from moderation.datasets.synthetic import generate as generate_arrivals
from moderation.errors import ConfigurationError, PublishingFailed
from moderation.policy import Goal
from moderation.settings import Settings, required
from moderation.timestamps import DAY_US
from stream.source import AtRate, CsvExport, History, SendPlan, SendResult, read_delivery_log, send_all
from stream.source.arrivals import arrivals_of

HISTORY_DAYS = 30
TRAFFIC = TrafficConfig(
    seed=1,
    days=36,
    comments_per_day=400,
    late_share=0.01,
    duplicate_share=0.01,
    edit_share=0.01,
    broken_share=0.01,
)
_HISTORY_SHARE = 0.8
_COPIED = 2
_DELIVERY_SECONDS = 30.0


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
        archived: contents of the lake, see :meth:`DemoBatch.archive`.
        reconciled: what explains the gaps between batch and speed, see :meth:`DemoBatch.reconcile`.
    """

    comparison: OracleReport
    live_comments: int
    live_per_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    live_auc: float
    archived: dict[str, int]
    reconciled: ReconcileTotals

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
        self._csv = csv
        self._topic = self.settings.topic_prefix + "comments"
        self._database_url = required(self.settings.database_url, "database_url")
        self._topic_id = str(topic_uuid(describe_topic_ids(info.kafka_bootstrap, [self._topic])[self._topic]))
        self._origin = History(self._folder / "traffic") if csv is None else CsvExport(csv)
        self._live_from: dict[int, int] = {}
        self._live_sent = SendResult()
        self._copies: list[DeliveryReport] = []

    def refuse_unless_fresh(self) -> None:
        """Refuse a data folder in which another demonstration ran.

        Raises:
            ConfigurationError: the ledger already accounts for records, or something was sent before.
        """
        if self._folder.exists() or any(self._positions().values()):
            raise ConfigurationError(
                str(self._folder.parent),
                "a demonstration already ran in this data folder",
                "Run `moderation down --purge` first, or name another --data-folder.",
            )

    def prepare(self) -> int:
        """Write the traffic (if generated) and find the end of the history; returns the number of its arrivals."""
        if isinstance(self._origin, History):
            write_history(self._origin.folder, generate_arrivals(TRAFFIC), lambda records: None)
            end_us = TRAFFIC.start_us + HISTORY_DAYS * DAY_US
        else:
            times = [row.comment.event_time_us for row in self._labelled()]
            end_us = sorted(times)[int(_HISTORY_SHARE * len(times))]
        self._end_us = end_us
        self._history_arrivals: int = sum(arrival.arrival_us < end_us for arrival in self._arrivals())
        return self._history_arrivals

    def send_history(self) -> SendResult:
        """Send the history as fast as the brokers accept it."""
        plan = SendPlan(self._origin, self._folder / "history-sent", limit=self._history_arrivals)
        return send_all(self.settings, plan, lambda sent: None)

    def train(self, goals: list[Goal], on_progress: OnProgress) -> tuple[TrainReport, str]:
        """Train on the history and register; returns the report and the version."""
        labelled = ((row.comment, row.removed) for row in self._labelled() if row.comment.event_time_us < self._end_us)
        report = train_to_folder(labelled, self._folder / "model", goals, self.settings, on_progress=on_progress)
        on_progress("registering and certifying")
        version, _ = register(self._folder / "model", self.settings, "the demonstration's first model")
        return report, version

    def wait_for_worker(self, seconds: float = 120) -> None:
        """Wait until the worker has decided everything that was sent."""
        delivered = self._delivered()
        wait_until(
            lambda: sum(self._positions().values()) >= delivered,
            seconds=seconds,
            description="the worker to decide what was sent",
        )

    def send_live(self, per_s: float, on_progress: Callable[[SendResult], None]) -> None:
        """Send the rest at a rate and report the progress."""
        self._live_from = self._positions()
        plan = replace(
            SendPlan(self._origin, self._folder / "live-sent"), skip=self._history_arrivals, pace=AtRate(per_s)
        )
        self._live_sent = send_all(self.settings, plan, on_progress)

    def send_copies(self) -> None:
        """Send the newest comments again, to every other partition, as producers with another partitioner would.

        The speed layer detects copies within one partition. It counts those in other partitions; the batch finds them.

        Raises:
            PublishingFailed: the brokers do not confirm them.
        """
        with psycopg.connect(self._database_url) as connection:
            newest = connection.execute(
                "SELECT partition, \"offset\" FROM speed.decisions WHERE topic_id = %s AND fate = 'counted' "
                "ORDER BY event_time_us DESC LIMIT %s",
                (self._topic_id, _COPIED),
            ).fetchall()
        bootstrap = self.settings.kafka_bootstrap
        values = {position: value for position, value, _ in read_messages(bootstrap, self._topic) if position in newest}
        producer = Producer(producer_settings(bootstrap, _DELIVERY_SECONDS))

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

    def batch(self) -> DemoBatch:
        """Return the batch layer.

        Raises:
            StackError: Airflow is not available.
        """
        return DemoBatch(self._layout, self._info, self.settings)

    def summary(self, archived: dict[str, int], reconciled: ReconcileTotals) -> DemoSummary:
        """Compare everything and measure the live part; :class:`DemoBatch` returns the arguments."""
        reports = [
            DeliveryReport(report.partition, report.offset, report.sha256)
            for folder in ("history-sent", "live-sent")
            for report in read_delivery_log(self._folder / folder)
            if report.topic == self._topic
        ] + self._copies
        bootstrap = self.settings.kafka_bootstrap
        self._wait_published()
        comparison = verify(bootstrap, self._database_url, self.settings.topic_prefix, self._topic_id, reports)
        appended = {position: time_ms for position, _, time_ms in read_messages(bootstrap, self._topic)}
        latency_ms = [
            time_ms - appended[position]
            for position, time_ms in self._decided().items()
            if position[1] >= self._live_from.get(position[0], 0)
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

    def _labelled(self) -> Iterator[LabelledComment]:
        if isinstance(self._origin, History):
            return read_history(self._origin.folder, lambda bad: None)
        return read_rscience(self._origin.path, lambda bad: None)

    def _arrivals(self) -> Iterator[Arrival]:
        return arrivals_of(SendPlan(self._origin, self._folder), lambda bad: None)

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
            for folder in ("history-sent", "live-sent")
            if (self._folder / folder).exists()
            for report in read_delivery_log(self._folder / folder)
        )

    def _decided(self) -> dict[tuple[int, int], int]:
        """Return when each decision was first published, in milliseconds, by the position of its comment."""
        times: dict[tuple[int, int], int] = {}
        topic = self.settings.topic_prefix + "decisions"
        for _, value, time_ms in read_messages(self.settings.kafka_bootstrap, topic):
            fields = json.loads(value)
            position = (fields["partition"], fields["offset"])
            times[position] = min(time_ms, times.get(position, time_ms))
        return times

    def _live_auc(self) -> float:
        labels = {
            row.comment.comment_id: row.removed for row in self._labelled() if row.comment.event_time_us >= self._end_us
        }
        with psycopg.connect(self._database_url) as connection:
            rows = connection.execute(
                "SELECT comment_id, score_ppm FROM speed.decisions WHERE topic_id = %s", (self._topic_id,)
            ).fetchall()
        pairs = [(labels[row[0]], row[1]) for row in rows if row[0] in labels]
        return float(roc_auc_score([removed for removed, _ in pairs], [score for _, score in pairs]))
