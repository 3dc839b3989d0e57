"""``moderation bench stream``: all designs on the same topic in alternating rounds, then the worker's latency."""

from __future__ import annotations

import json
import socket
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import skops.io

from batch.progress import OnProgress
from local.bench.stream import confluent_loop, latency, talk_design, worker
from local.bench.stream.corpus import Corpus, preload
from local.bench.stream.throughput import MeasuredProcess, Rate, TopicEnds, faust_worker, measure_rate, python, running
from local.stack import commands as stack
from local.stack.layout import StackLayout
from local.stack.ports import any_free_port
from local.stack.wait import wait_until
from local.stack.worker import stack_settings
from moderation.adapters.kafka.topics import TOPICS, ensure_topics
from moderation.adapters.sql.migrate import migrate_database
from moderation.bootstrap import register, train_to_folder
from moderation.datasets.history import LabelledComment
from moderation.policy import parse_goal
from moderation.timestamps import now_us

PREFIX = "bench-"
_SLOW_SECONDS = 20.0
_LOADS = (10, 50, 90)
_SKIP_SECONDS = 5.0
_LONE_PER_S = 2.0
_LONE_SECONDS = 35.0


@dataclass(frozen=True, slots=True)
class StreamBenchPlan:
    """Parameters of the benchmark.

    Attributes:
        comments: in the topic.
        rounds: number of runs of each design; figures are medians.
        latency_seconds: length of each latency run; 0 for none.
        contenders: names of the designs to measure; all if empty.
    """

    comments: int = 200_000
    rounds: int = 3
    latency_seconds: float = 60.0
    contenders: tuple[str, ...] = ()


class Bench:
    """A stack for benchmarks, with a model.

    Args:
        layout: with an empty data folder, see :func:`local.stack.commands.empty`.
        rows: labelled comments for training.
        on_progress: receives one line at each step.
    """

    def __init__(self, layout: StackLayout, rows: Sequence[LabelledComment], on_progress: OnProgress) -> None:
        self.layout = layout
        on_progress("bringing the stack up")
        self.info = stack.up(layout)
        self.kafka = self.info.kafka
        self.folder = layout.demo / "bench"
        self.folder.mkdir(parents=True, exist_ok=True)
        on_progress("training the models")
        settings = stack_settings(layout, self.info)
        migrate_database(self.info.database_url())  # registering a model records who promoted it
        labelled = [(row.comment, row.removed) for row in rows]
        train_to_folder(labelled, self.folder / "model", [parse_goal("review_share<=0.2")], settings, folds=3)
        migrate_database(self.info.database_url())  # the history of promotions is there; each design has its own ledger
        register(self.folder / "model", settings, "for the bench")
        talk = talk_design.fit([row.comment.body for row in rows], [int(row.removed) for row in rows])
        skops.io.dump(talk, self.folder / "talk.skops")

    @property
    def server_pids(self) -> list[int]:
        """Process ids of broker and database."""
        return [part.pid for part in stack.status(self.layout) if part.name in ("kafka", "postgres")]


class StreamBench:
    """Measures the designs on a filled topic.

    Args:
        bench: a stack with a model.
        rows: labelled comments, whose texts are sent.
        plan: parameters.
        on_progress: receives one line at each step.
    """

    def __init__(
        self, bench: Bench, rows: Sequence[LabelledComment], plan: StreamBenchPlan, on_progress: OnProgress
    ) -> None:
        self._layout, self._info, self._folder = bench.layout, bench.info, bench.folder
        self._kafka = bench.kafka
        self._servers = bench.server_pids
        self._plan = plan
        self._on_progress = on_progress
        self._ends = TopicEnds(self._kafka)
        self._corpus = Corpus([row.comment.body for row in rows])
        self._contenders: dict[str, Callable[[str], Rate]] = {
            "worker": lambda name: self._workers(name, 1),
            "worker2": lambda name: self._workers(name, 2),
            "faust_per_event": self._faust_per_event,
            "talk_design": self._talk_design,
            "confluent_loop": self._confluent_loop,
        }

    def run(self) -> dict[str, Any]:
        """Measure everything.

        Raises:
            StackError: a process does not start, or ends by itself; the error contains the end of its log.
        """
        try:
            return self._run()
        finally:
            self._ends.close()

    def _run(self) -> dict[str, Any]:
        for prefix in (PREFIX, *(f"{PREFIX}{name}-" for name in ("faust", "talk", "loop"))):
            ensure_topics(self._kafka, TOPICS, prefix=prefix)
        preload(self._kafka, PREFIX + "comments", self._corpus, self._plan.comments, self._on_progress)
        wanted = self._plan.contenders or tuple(self._contenders)
        rates_by_name: dict[str, list[Rate]] = {name: [] for name in wanted}
        for number in range(1, self._plan.rounds + 1):
            for name in wanted:
                self._on_progress(f"round {number} of {self._plan.rounds}: {name}")
                rates_by_name[name].append(self._contenders[name](f"bench_{name}_{number}"))
                self._on_progress(
                    f"round {number} of {self._plan.rounds}: {name} {rates_by_name[name][-1].per_s:,.0f}/s"
                )
        figures: dict[str, Any] = {
            f"{name}_per_s": round(statistics.median(each.per_s for each in rates))
            for name, rates in rates_by_name.items()
        }
        figures["rounds_per_s"] = {name: [round(each.per_s) for each in rates] for name, rates in rates_by_name.items()}
        figures["cpu_seconds_per_1000"] = {
            name: {
                "own": round(statistics.median(each.cpu_seconds_per_1000[0] for each in rates), 4),
                "broker_and_database": round(statistics.median(each.cpu_seconds_per_1000[1] for each in rates), 4),
            }
            for name, rates in rates_by_name.items()
        }
        if {"worker", "confluent_loop", "talk_design"} <= rates_by_name.keys():
            figures["worker_of_confluent_loop"] = round(figures["worker_per_s"] / figures["confluent_loop_per_s"], 3)
            figures["worker_of_talk_design"] = round(figures["worker_per_s"] / figures["talk_design_per_s"], 1)
        if self._plan.latency_seconds:
            figures["latency"] = self._latency(figures["worker_per_s"])
        figures["settings"] = self._settings()
        return figures

    def _options(self, name: str, prefix: str) -> dict[str, str]:
        return {"bootstrap": self._kafka.bootstrap, "topic": PREFIX + "comments", "prefix": prefix, "group": name}

    def _workers(self, name: str, count: int) -> Rate:
        topic = PREFIX + "decisions"
        with worker.ledger_of(self._layout, self._info, PREFIX, name) as settings:
            before = self._ends.total(topic)
            with running([worker.COMMAND] * count, worker.environment(settings), self._folder / name) as processes:
                return self._rate(topic, before, processes)

    def _faust_per_event(self, name: str) -> Rate:
        prefix = PREFIX + "faust-"
        options = {**self._options(name, prefix), "model": str(self._folder / "model")}
        before = self._ends.total(prefix + "decisions")
        command = faust_worker("local.bench.stream.faust_per_event", options)
        with running([command], {}, self._folder / name) as processes:
            return self._rate(prefix + "decisions", before, processes)

    def _talk_design(self, name: str) -> Rate:
        prefix, port = PREFIX + "talk-", any_free_port()
        options = {
            **self._options(name, prefix),
            "url": f"http://127.0.0.1:{port}",
            "talk_model": str(self._folder / "talk.skops"),
        }
        module = "local.bench.stream.talk_design"
        before = self._ends.total(prefix + "decisions")
        with running([python(module, options, "serve", str(port))], {}, self._folder / f"{name}-rest") as service:
            wait_until(lambda: answers(port), seconds=60, description="the talk's REST service")
            with running([faust_worker(module, options)], {}, self._folder / name) as processes:
                return self._rate(prefix + "decisions", before, [*service, *processes])

    def _confluent_loop(self, name: str) -> Rate:
        prefix = PREFIX + "loop-"
        options = {**self._options(name, prefix), "model": str(self._folder / "model")}
        before = self._ends.total(prefix + "decisions")
        with running([python("local.bench.stream.confluent_loop", options)], {}, self._folder / name) as processes:
            return self._rate(prefix + "decisions", before, processes)

    def _rate(self, topic: str, before: int, processes: list[MeasuredProcess]) -> Rate:
        return measure_rate(self._ends, topic, before, self._plan.comments, _SLOW_SECONDS, processes, self._servers)

    def _latency(self, most_per_s: float) -> dict[str, dict[str, float]]:
        texts = self._folder / "texts.json"
        texts.write_text(json.dumps(self._corpus.texts))
        self._on_progress("latency of lone comments")
        figures = {"lone": self._latency_run("latency_lone", _LONE_PER_S, _LONE_SECONDS, texts)}
        for load in _LOADS:
            runs = []
            # The usual load of a worker is measured more than once.
            for number in range(self._plan.rounds if load == 50 else 1):
                self._on_progress(f"latency at {load} % of {most_per_s:,} comments a second, run {number + 1}")
                per_s = most_per_s * load / 100
                runs.append(self._latency_run(f"latency{load}_{number}", per_s, self._plan.latency_seconds, texts))
            figures[str(load)] = sorted(runs, key=lambda run: run["p99_ms"])[len(runs) // 2]
        return figures

    def _latency_run(self, name: str, per_s: float, seconds: float, texts: Path) -> dict[str, float]:
        prefix = f"{PREFIX}{name.replace('_', '-')}-"
        ensure_topics(self._kafka, TOPICS, prefix=prefix)
        topic, decisions = prefix + "comments", prefix + "decisions"
        with (
            worker.ledger_of(self._layout, self._info, prefix, name) as settings,
            running([worker.COMMAND], worker.environment(settings), self._folder / name),
        ):
            # Warm the worker first, because a new worker has an empty lexicon.
            warm = 20_000
            preload(self._kafka, topic, self._corpus, warm, lambda _: None)
            wait_until(lambda: self._ends.total(decisions) >= warm, seconds=120, description="the warm-up")
            began_us = now_us()
            options = {
                "bootstrap": self._kafka.bootstrap,
                "topic": topic,
                "per_s": per_s,
                "seconds": seconds,
                "first": self._plan.comments,
                "texts": str(texts),
            }
            command = [sys.executable, "-P", "-m", "local.bench.stream.latency", json.dumps(options)]
            with running([command], {}, self._folder / f"{name}-sender") as sender:
                sender[0].process.wait(seconds + 120)
            sent = warm + round(per_s * seconds)
            wait_until(lambda: self._ends.total(decisions) >= sent, seconds=120, description="the last decision")
        return latency.percentiles(latency.latencies_ms(self._kafka, decisions, began_us, _SKIP_SECONDS))

    def _settings(self) -> dict[str, Any]:
        return {
            **self._corpus.describe(),
            "comments": self._plan.comments,
            "rounds": self._plan.rounds,
            "slow_contenders_seconds": _SLOW_SECONDS,
            "latency_seconds": self._plan.latency_seconds,
            "confluent_loop": confluent_loop.SETTINGS,
            "partitions": 4,
        }


def answers(port: int) -> bool:
    """Whether a process listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
