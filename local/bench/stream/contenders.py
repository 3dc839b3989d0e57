"""Who takes part: how each is started on the preloaded topic, and how fast it fills its topic of decisions."""

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

from local.environment import inherited_environment
from local.waiting import wait_until
from moderation.errors import StackError

_START_SECONDS = 120.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Rate:
    """One round of one contender.

    Attributes:
        per_s: decisions published a second, from the first on.
        cpu_seconds_per_1000: CPU of the contender's own processes, then of broker and database together.
        comments: how many were decided in it.
    """

    per_s: float
    cpu_seconds_per_1000: tuple[float, float]
    comments: int


class Ends:
    """Where a topic ends, asked of the broker."""

    def __init__(self, bootstrap: str) -> None:
        self._client = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench-ends", "log_level": 4})

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def total(self, topic: str) -> int:
        """How many records the topic has had."""
        partitions = self._client.list_topics(topic, timeout=30).topics[topic].partitions
        places = [TopicPartition(topic, partition) for partition in partitions]
        return sum(self._client.get_watermark_offsets(place, timeout=30, cached=False)[1] for place in places)


@contextmanager
def running(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path
) -> Iterator[list[psutil.Process]]:
    """Run programs, their logs in a folder; they are killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number, command in enumerate(commands):
            with (folder / f"{number}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        command,
                        cwd=folder,
                        env={**inherited_environment(), **environment},
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        yield [psutil.Process(each.pid) for each in started]
    finally:
        for each in started:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
            each.wait(30)


def rate(
    ends: Ends, topic: str, before: int, most: int, seconds: float, own: list[psutil.Process], servers: list[int]
) -> Rate:
    """Watch a topic of decisions fill.

    Args:
        ends: asks the broker.
        topic: where the contender publishes.
        before: how many records the topic had when the contender was started.
        most: it is over when so many decisions are published …
        seconds: … or so many seconds after the first.
        own: the contender's processes.
        servers: process ids of broker and database.

    Raises:
        StackError: nothing is published within two minutes, or a process ends.
    """

    def alive() -> None:
        if dead := [each for each in own if not each.is_running() or each.status() == psutil.STATUS_ZOMBIE]:
            raise StackError(f"process {dead[0].pid}", "a contender ended by itself", "See its log.")

    def begun() -> bool:
        alive()
        return ends.total(topic) > before

    wait_until(begun, seconds=_START_SECONDS, description=f"the first record of {topic}")
    time.sleep(1.0)  # past the first batch, whose size is nobody's rate
    first, began, cpu_first = ends.total(topic), time.monotonic(), (_cpu(own), _cpu_of(servers))
    while True:
        alive()
        count, now = ends.total(topic), time.monotonic()
        if count - before >= most or now - began > seconds:
            break
        time.sleep(_POLL_SECONDS)
    decided = count - first
    spent = (_cpu(own) - cpu_first[0], _cpu_of(servers) - cpu_first[1])
    return Rate(decided / (now - began), (1_000 * spent[0] / decided, 1_000 * spent[1] / decided), decided)


def python(module: str, options: Mapping[str, str], *arguments: str) -> list[str]:
    """The command of one of our modules that reads JSON options."""
    return [sys.executable, "-P", "-m", module, json.dumps(dict(options)), *arguments]


def faust_worker(module: str, options: Mapping[str, str]) -> list[str]:
    """The command of a Faust app on uvloop."""
    return python(module, options, "--loop", "uvloop", "worker", "--without-web", "-l", "warn")


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)


def _cpu_of(pids: list[int]) -> float:
    """CPU of processes and what they started: PostgreSQL has one per connection."""
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
        total += _cpu(process.children(recursive=True))
    return total
