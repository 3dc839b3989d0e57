"""Run a stream processor on the preloaded topic and measure how fast it fills its topic of decisions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka import Consumer, TopicPartition

from local.stack.environment import inherited_environment
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.errors import StackError

_START_SECONDS = 120.0
_POLL_SECONDS = 0.05
_LOG_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Rate:
    """Rate of one processor in one round.

    Attributes:
        per_s: decisions published a second, from the first on.
        cpu_seconds_per_1000: CPU of the processor's processes, then of broker and database together.
        comments: number of decided comments.
    """

    per_s: float
    cpu_seconds_per_1000: tuple[float, float]
    comments: int


class TopicEnds:
    """Reads the ends of topics from the broker."""

    def __init__(self, kafka: KafkaConnection) -> None:
        self._client = Consumer(kafka.librdkafka({"group.id": "bench-ends", "log_level": 4}))

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def total(self, topic: str) -> int:
        """Return the number of records that the topic has ever had."""
        partitions = self._client.list_topics(topic, timeout=30).topics[topic].partitions
        places = [TopicPartition(topic, partition) for partition in partitions]
        return sum(self._client.get_watermark_offsets(position, timeout=30, cached=False)[1] for position in places)


class MeasuredProcess:
    """One process that is measured.

    Args:
        process: just started.
        log: file of its output.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.measured = psutil.Process(process.pid)
        self.process = process
        self._log = log

    def check(self) -> None:
        """Check that it runs.

        Raises:
            StackError: it has ended; the error contains its exit code and the end of its log.
        """
        if (code := self.process.poll()) is not None:
            last = self._log.read_text(errors="replace")[-_LOG_CHARACTERS:]
            raise StackError(
                f"process {self._log.parent.name}", f"ended by itself with exit code {code}", f"Its log ends:\n{last}"
            )


@contextmanager
def running(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path
) -> Iterator[list[MeasuredProcess]]:
    """Run programs with logs in a folder; kill them at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    started: list[MeasuredProcess] = []
    try:
        for number, command in enumerate(commands):
            log = folder / f"{number}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env={**inherited_environment(), **environment},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            started.append(MeasuredProcess(process, log))
        yield started
    finally:
        for process in (each.process for each in started):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def measure_rate(
    ends: TopicEnds,
    topic: str,
    before: int,
    most: int,
    seconds: float,
    processes: list[MeasuredProcess],
    servers: list[int],
) -> Rate:
    """Measure how fast a topic of decisions fills.

    Args:
        ends: reads the end of the topic.
        topic: where the processor publishes.
        before: number of records in the topic when the processor was started.
        most: the measurement ends after this number of decisions …
        seconds: … or this number of seconds after the first.
        processes: of the processor.
        servers: process ids of broker and database.

    Raises:
        StackError: nothing is published within two minutes, a process ends by itself, or ``most`` is too small.
    """

    system_processes = [each.measured for each in processes]

    def check() -> None:
        for each in processes:
            each.check()

    def begun() -> bool:
        check()
        return ends.total(topic) > before

    wait_until(begun, seconds=_START_SECONDS, description=f"the first record of {topic}")
    time.sleep(1.0)  # skip the first batch, which distorts the rate
    first, began, cpu_first = ends.total(topic), time.monotonic(), (_cpu(system_processes), _cpu_of(servers))
    while True:
        check()
        count, now = ends.total(topic), time.monotonic()
        if count - before >= most or now - began > seconds:
            break
        time.sleep(_POLL_SECONDS)
    if (decided := count - first) == 0:
        raise StackError("benchmark", f"all {most:,} comments were decided in the first second", "Set more --comments.")
    spent = (_cpu(system_processes) - cpu_first[0], _cpu_of(servers) - cpu_first[1])
    return Rate(decided / (now - began), (1_000 * spent[0] / decided, 1_000 * spent[1] / decided), decided)


def python(module: str, options: Mapping[str, str], *arguments: str) -> list[str]:
    """Return the command of one of our modules that reads JSON options."""
    return [sys.executable, "-P", "-m", module, json.dumps(dict(options)), *arguments]


def faust_worker(module: str, options: Mapping[str, str]) -> list[str]:
    """Return the command of a Faust app on uvloop."""
    return python(module, options, "--loop", "uvloop", "worker", "--without-web", "-l", "warn")


def _cpu(system_processes: list[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in system_processes)


def _cpu_of(pids: list[int]) -> float:
    """Return the CPU time of processes and their children; PostgreSQL has one for each connection."""
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
        total += _cpu(process.children(recursive=True))
    return total
