"""Speed layer for one test: topics with a prefix, and worker processes that end with the test."""

from __future__ import annotations

import hashlib
import os
import signal
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import psycopg
from confluent_kafka import KafkaError, Message, Producer
from pydantic import SecretStr
from sqlalchemy import make_url

from local.oracle import DeliveryReport, OracleReport, verify
from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from local.stack.postgres import ADMIN_ROLE
from local.stack.wait import wait_until
from local.stack.worker import settings_environment, stack_settings
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import describe_topic_ids, topic_uuid
from moderation.contracts import Comment, to_json
from moderation.settings import Settings, required
from tests.support.database_urls import altered_url
from tests.support.fork_server import Forked, run_module

RUN = uuid.uuid4().hex[:8]
"""Of this process; part of names on a stack that an earlier run may have used."""
MODEL_NAME = f"worker-tests-{RUN}"
Record = tuple[str, bytes]


_stacks: list[StackInfo] = []


def base_settings(stack: StackInfo, prefix: str) -> Settings:
    """Return the settings of tests: the servers of the stack, the database's owner, small batches, no metrics port."""
    _stacks[:] = [stack]
    settings = stack_settings(StackLayout(stack.root), stack, topic_prefix=prefix, login=ADMIN_ROLE)
    return settings.model_copy(update={"model_name": MODEL_NAME, "batch_most_records": 200, "metrics_port": 0})


def as_login(settings: Settings, login: str) -> Settings:
    """Return settings with another login to the database, if they have that of its owner.

    Args:
        settings: of a test.
        login: see :data:`local.stack.postgres.LOGINS`.
    """
    url = required(settings.database_url, "database_url")
    if make_url(url).username != ADMIN_ROLE:
        return settings
    named = make_url(_stacks[0].database_url(login))
    url = altered_url(url, username=named.username, password=named.password)
    return settings.model_copy(update={"database_url": SecretStr(url)})


def comments(count: int, start: int = 0) -> list[Record]:
    """Return comments of four kinds in two communities, a microsecond apart, with their keys."""
    bodies = ("Nice study, thanks.", "you idiot!!! {}", "FREE money at http://spam.example/{}", "Source? {}")
    made = [
        Comment(f"c{n}", ("science", "cooking")[n % 2], bodies[n % 4].format(n), 1_700_000_000_000_000 + n)
        for n in range(start, start + count)
    ]
    return [(comment.comment_id, to_json(comment)) for comment in made]


class SpeedLayerUnderTest:
    """Starts and ends workers, produces records and runs the oracle."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.topic = settings.topic_prefix + "comments"
        self.database_url = required(settings.database_url, "database_url")
        self.topic_id = str(topic_uuid(describe_topic_ids(kafka_of(settings), [self.topic])[self.topic]))
        self.delivered: list[DeliveryReport] = []
        self.workers: list[Forked] = []

    def start_worker(self, module: Sequence[str] = ("stream",), *, web: bool = False) -> Forked:
        """Start one worker process; its log is ``worker-N.log`` in the test's folder.

        Args:
            module: module of another worker, with its first arguments.
            web: serve the HTTP views on the port of the settings.
        """
        log = self.folder / f"worker-{len(self.workers)}.log"
        options = ["--loop", "uvloop", "worker", *([] if web else ["--without-web"])]
        env = {**os.environ, **settings_environment(as_login(self.settings, "worker"))}  # noqa: TID251 - a child needs the parent's
        worker = run_module(module[0], [*module[1:], *options], env=env, cwd=self.folder, log=log)
        self.workers.append(worker)
        return worker

    def produce(
        self, values: Iterable[tuple[str, bytes]], headers: Sequence[tuple[str, str | bytes | None]] = ()
    ) -> int:
        """Send (key, value) pairs, all with these headers, and wait for every delivery report; returns how many."""
        own = {"enable.idempotence": True, "partitioner": "murmur2_random", "linger.ms": 5, "log_level": 2}
        producer = Producer(kafka_of(self.settings).librdkafka(own))
        delivered: list[DeliveryReport] = []

        def note(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            value = message.value() or b""
            place = cast(int, message.partition()), cast(int, message.offset())
            delivered.append(DeliveryReport(*place, hashlib.sha256(value).hexdigest()))

        sent = 0
        for key, value in values:
            producer.produce(self.topic, value, key=key, headers=list(headers), on_delivery=note)
            producer.poll(0)
            sent += 1
        assert producer.flush(60) == 0
        assert len(delivered) == sent
        self.delivered += delivered
        return sent

    def accounted(self) -> int:
        """Return how many offsets the ledger accounts for."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(
                "SELECT coalesce(sum(next - first), 0) FROM speed.source_offsets WHERE topic_id = %s", (self.topic_id,)
            ).fetchone()
        assert row is not None
        return int(row[0])

    def wait_accounted(self, count: int, seconds: float = 90) -> None:
        """Wait until the ledger accounts for this many offsets, or a worker ended for good."""
        wait_until(lambda: self.accounted() >= count, seconds=seconds, description=f"{count} offsets accounted for")

    def wait_read_to_end(self, seconds: float = 60) -> None:
        """Wait until the ledger has a time at which each partition was read to its end."""

        def is_read() -> bool:
            with psycopg.connect(self.database_url) as connection:
                row = connection.execute(
                    "SELECT bool_and(read_to_end_us IS NOT NULL) FROM speed.source_offsets WHERE topic_id = %s",
                    (self.topic_id,),
                ).fetchone()
            return row == (True,)

        wait_until(is_read, seconds=seconds, description="partitions read to their ends")

    def comparison(self, *, topics_too: bool = False) -> OracleReport:
        """Return the comparison of the oracle."""
        kafka, prefix = kafka_of(self.settings), self.settings.topic_prefix
        return verify(kafka, self.database_url, prefix, self.topic_id, self.delivered, topics_too=topics_too)

    def stop(self) -> None:
        """Kill every worker."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL)
            worker.wait(30)


@contextmanager
def speed_layer(settings: Settings, folder: Path) -> Iterator[SpeedLayerUnderTest]:
    """Yield a speed layer whose workers end with the block."""
    layer = SpeedLayerUnderTest(settings, folder)
    try:
        yield layer
    finally:
        layer.stop()
