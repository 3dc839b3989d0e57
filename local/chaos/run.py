"""Run a chaos test: start an empty stack, inject faults under load, let the oracle compare."""

from __future__ import annotations

import random
import sys
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from batch.progress import OnProgress
from local.chaos.faults import WORKERS, Faults
from local.chaos.hostile_producer import HostileProducer
from local.chaos.models import make_models
from local.chaos.plan import Fault, alias_moves, away_seconds, baseline_swaps, faults_of
from local.chaos.recovery import RecoveryTimer
from local.chaos.traffic import TrafficProducer
from local.demo.reconcile_all import ReconcileTotals, reconcile_all
from local.oracle import OracleReport, verify
from local.stack import commands as stack
from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from local.stack.program import Program
from local.stack.worker import stack_settings, worker_program
from moderation.adapters.kafka.topics import COMMENTS, describe_topic_ids, topic_uuid
from moderation.errors import StackError
from moderation.settings import Settings, required

SABOTAGES = ("drop", "double", "pane", "unpublished", "late")
_DRAIN_SECONDS = 300.0
_SWAP_SECONDS = 60.0
_MOVES_SECONDS = 300.0
_SABOTAGED_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """Parameters of a chaos run.

    Attributes:
        minutes: length of the part with faults.
        seed: of faults and traffic.
        per_second: records sent a second.
        sabotage: kind of deliberate errors of the workers, without faults; None for a normal run.
        spark: reconcile the days with Spark as well.
    """

    minutes: float = 25.0
    seed: int = 0
    per_second: float = 400.0
    sabotage: str | None = None
    spark: bool = False


@dataclass(slots=True)
class ChaosReport:
    """Report of a chaos run.

    Attributes:
        faults: number of injections by fault.
        not_reached: faults whose point no worker reached in time.
        comparison: the oracle's report.
        recover_seconds: for each fault, time until the ledger caught up with the log as it was at the fault.
        never_recovered: faults after which the ledger did not catch up within the time limit.
        swap_seconds: from an alias move to the first decision by the new version, under load.
        ended_workers: workers that the supervisor does not restart.
        seconds: duration of the part with faults.
        hostile: what other producers sent meanwhile, by kind: transactions, odd headers, huge batches.
        quarantined: dead letters of records that could not be decided or stored; no fault here causes any.
        reconciled: sums of the reconciliation afterwards.
    """

    faults: dict[str, int] = field(default_factory=dict)
    not_reached: dict[str, int] = field(default_factory=dict)
    comparison: OracleReport = field(default_factory=OracleReport)
    recover_seconds: list[float] = field(default_factory=list)
    never_recovered: int = 0
    swap_seconds: list[float] = field(default_factory=list)
    ended_workers: list[str] = field(default_factory=list)
    seconds: float = 0.0
    hostile: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0
    reconciled: ReconcileTotals = field(default_factory=ReconcileTotals)

    @property
    def is_clean(self) -> bool:
        """Whether oracle and reconciliation are clean, every planned fault was injected, and every worker runs."""
        is_right = self.comparison.is_exact and self.reconciled.is_sound
        is_right = is_right and not self.quarantined
        return is_right and not (self.ended_workers or self.never_recovered or self.not_reached)

    def summary(self) -> dict[str, object]:
        """Return the figures as JSON fields; seconds are rounded to hundredths."""
        comparison = self.comparison
        figures = {name: getattr(comparison, name) for name in comparison.__dataclass_fields__ if name != "examples"}
        return {
            "faults": self.faults,
            **figures,
            "recover_seconds": _percentiles(self.recover_seconds, p50=50, max=100),
            "swap_seconds": _percentiles(self.swap_seconds, p50=50, p95=95, max=100),
            "never_recovered": self.never_recovered,
            "not_reached": self.not_reached,
            "ended_workers": self.ended_workers,
            "quarantined": self.quarantined,
            "hostile": self.hostile,
            "seconds": round(self.seconds, 1),
            "reconciled": asdict(self.reconciled),
            "examples": comparison.examples,
        }


def run(layout: StackLayout, plan: ChaosPlan, on_progress: OnProgress) -> ChaosReport:
    """Start a stack, inject faults, and let the oracle compare. The stack stays up; the caller stops it.

    Args:
        layout: with an empty data folder, see :func:`local.stack.commands.empty`.
        plan: parameters of the run.
        on_progress: receives one line at each step.

    Raises:
        StackError: the stack does not start, or a worker does not restart.
        RuntimeError: the brokers did not acknowledge a record.
    """
    on_progress("bringing the stack up")
    orders = layout.faults
    info = stack.up(layout, extra_programs=lambda info: _workers(layout, info, orders, plan.sabotage))
    stack.stop_program(layout, WORKERS[2])
    orders.mkdir(exist_ok=True)
    settings = _settings(layout, info, orders)
    on_progress("training models")
    models = make_models(settings, layout.demo)
    topic = settings.topic_prefix + COMMENTS.name
    topic_id = str(topic_uuid(describe_topic_ids(info.kafka, [topic])[topic]))
    recovery = RecoveryTimer(info.kafka, topic, info.database_url(), topic_id)
    faults = Faults(layout, settings, models, plan.seed, away_seconds(plan.minutes))
    traffic = TrafficProducer(info.kafka, settings.topic_prefix, plan.per_second, plan.seed)
    hostile = HostileProducer(info.kafka, settings.topic_prefix, plan.seed)
    report = ChaosReport()
    traffic.start()
    try:
        if plan.sabotage is None:
            hostile.start()
            _time_baseline_swaps(faults, recovery, baseline_swaps(plan.minutes), report, on_progress)
            _inject_faults(plan, faults, recovery, traffic, report, on_progress)
        else:
            time.sleep(_SABOTAGED_SECONDS)
    finally:
        faults.wake_all()
    on_progress("waiting for the last acknowledgements and decisions")
    if plan.sabotage is None:
        hostile.stop()
        report.hostile = dict(sorted(hostile.done.items()))
    traffic.stop()
    recovery.join()
    ends = recovery.log_ends()
    for published in (False, True):
        if recovery.seconds_until(ends, _DRAIN_SECONDS, published=published) is None:
            on_progress(
                "the ledger does not reach the end of the log" if not published else "not everything is published"
            )
    report.recover_seconds, report.never_recovered = recovery.recover_seconds, recovery.never_recovered
    report.ended_workers = faults.ended_workers()
    report.faults, report.not_reached = dict(sorted(faults.done.items())), dict(faults.not_reached)
    on_progress("the oracle compares")
    url = required(settings.database_url, "database_url")
    delivered = chain(traffic.delivered(), hostile.delivered())
    report.comparison = verify(info.kafka, url, settings.topic_prefix, topic_id, delivered, topics_too=True)
    report.quarantined = recovery.quarantined()
    report.reconciled = reconcile_all(settings, "moderation chaos", on_progress, spark=plan.spark)
    return report


def _time_baseline_swaps(
    faults: Faults, recovery: RecoveryTimer, count: int, report: ChaosReport, on_progress: OnProgress
) -> None:
    """Move the alias under load, without other faults."""
    if recovery.seconds_until({0: 1}, _SWAP_SECONDS) is None:
        raise StackError("the workers", f"they decided nothing within {_SWAP_SECONDS} s", "See their logs.")
    random_source = random.Random(count)  # noqa: S311 - repeatable, not secret
    for number in range(count):
        on_progress(f"timing swap {number + 1} of {count}")
        time.sleep(random_source.uniform(0, 2))  # so that a move happens at any time between two polls of the workers
        before = {version: recovery.served(version) for version in ("1", "2")}
        version = faults.move_alias()
        if version is None:
            continue
        seconds = recovery.seconds_until_served(version, before[version], _SWAP_SECONDS)
        report.swap_seconds.append(_SWAP_SECONDS if seconds is None else seconds)


def _inject_faults(
    plan: ChaosPlan,
    faults: Faults,
    recovery: RecoveryTimer,
    traffic: TrafficProducer,
    report: ChaosReport,
    on_progress: OnProgress,
) -> None:
    order = faults_of(plan.minutes, plan.seed)
    began = time.monotonic()
    ends_at = began + plan.minutes * 60
    over = threading.Event()

    def keep_moving() -> None:
        moves = alias_moves(plan.minutes) - faults.done["alias_move"]
        while not over.wait(plan.minutes * 60 / moves):
            faults.move_alias()

    mover = threading.Thread(target=keep_moving, name="alias")
    mover.start()
    try:
        ends = recovery.log_ends()
        for number, fault in enumerate(order, start=1):
            traffic.raise_failure()
            if fault is not Fault.BROKER_KILL:
                ends = _ends_or(recovery, ends)
            on_progress(f"{(time.monotonic() - began) / 60:.1f} min · fault {number} of {len(order)}: {fault}")
            faults.carry_out(fault)
            recovery.time_recovery(ends)
            rest = max(0.0, ends_at - time.monotonic()) / max(1, len(order) - number)
            time.sleep(min(rest, max(0.5, rest - 2)))
        while time.monotonic() < ends_at or traffic.sent < plan.per_second * plan.minutes * 60:
            traffic.raise_failure()
            on_progress(f"{traffic.sent:,} records sent")
            time.sleep(1)
        moves_until = time.monotonic() + _MOVES_SECONDS
        while (missing := alias_moves(plan.minutes) - faults.done["alias_move"]) > 0:
            if time.monotonic() > moves_until:
                faults.not_reached["alias_move"] = missing
                break
            faults.move_alias()
            time.sleep(3)
    finally:
        over.set()
        mover.join()
        report.seconds = time.monotonic() - began


def _ends_or(recovery: RecoveryTimer, known: dict[int, int]) -> dict[int, int]:
    """Return the log's present ends; ``known`` while the broker restarts."""
    from confluent_kafka import KafkaException

    try:
        return recovery.log_ends()
    except KafkaException:
        return known


def _settings(layout: StackLayout, info: StackInfo, orders: Path) -> Settings:
    settings = stack_settings(layout, info)
    return settings.model_copy(update={"fault_points": orders, "metrics_port": 0})


def _workers(layout: StackLayout, info: StackInfo, orders: Path, sabotage: str | None) -> list[Program]:
    programs = []
    for name in WORKERS:
        program = worker_program(layout, info, _settings(layout, info, orders), name, web=False)
        if sabotage is not None:
            module = program.argv.index("stream")
            wrong = (*program.argv[:module], "local.chaos.sabotaged_worker", sabotage, *program.argv[module + 1 :])
            program = replace(program, argv=(sys.executable, *wrong[1:]))
        programs.append(replace(program, first_delay_seconds=0.2, delay_cap_seconds=2.0, healthy_seconds=5.0))
    return programs


def _percentiles(values: list[float], **wanted: float) -> dict[str, float | None]:
    return {name: round(float(np.percentile(values, rank)), 2) if values else None for name, rank in wanted.items()}
