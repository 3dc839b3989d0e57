"""Lake for one test: topics with a prefix, a folder, and readers of both that share no code with the archive."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import psycopg
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from batch.archive.report import ArchiveReport
from batch.archive.run import archive_topics
from local.stack.environment import inherited_environment
from local.stack.wait import wait_until
from local.stack.worker import settings_environment
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import describe_topic_ids, topic_uuid
from moderation.adapters.lake.file_boundaries import FileLimits
from moderation.adapters.lake.manifest import partition_lock
from moderation.adapters.lake.ownership import OWNER_FILE
from moderation.adapters.lake.reader import opened_lake
from moderation.adapters.lake.schema import ARCHIVED
from moderation.adapters.lake.verification import Inspection, inspect
from moderation.adapters.sql.connection import connected
from moderation.offsets import TopicPartition as TopicPartitionId
from moderation.settings import Settings, required
from tests.support.fork_server import run_module
from tests.support.workers import as_login

SMALL = FileLimits(file_rows=40, group_rows=15)
"""Many files of many row groups out of few records."""

Record = tuple[str | None, bytes | None, list[tuple[str, bytes | None]]]


@contextmanager
def held_partitions(database_url: str, topic: str, topic_id: uuid.UUID) -> Iterator[None]:
    """Hold the locks of all partitions of a topic, as an archiver does that does not end."""
    with connected(database_url, name="a stranded archiver") as connection, ExitStack() as locks:
        for partition in range(4):
            holder = locks.enter_context(partition_lock(connection, TopicPartitionId(topic, topic_id, partition)))
            assert holder is None
        yield


class LakeUnderTest:
    """Produces and archives records, and reads the results."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.prefix = settings.topic_prefix
        self.topic = settings.topic_prefix + "comments"
        self.folder = Path(settings.lake_url)
        self.database_url = required(settings.database_url, "database_url")
        self.sent: dict[tuple[int, int], Record] = {}

    @property
    def topic_id(self) -> uuid.UUID:
        """Return Kafka's current id of topic comments."""
        return topic_uuid(describe_topic_ids(kafka_of(self.settings), [self.topic])[self.topic])

    def produce(self, records: Iterable[Record], *, name: str = "comments") -> None:
        """Send records and wait for their acknowledgements; those of comments are kept by position."""
        producer = Producer(kafka_of(self.settings).librdkafka({"linger.ms": 5, "log_level": 2}))
        delivered = []
        for key, value, headers in records:

            def note(error: object, message: object, record: Record = (key, value, headers)) -> None:
                assert error is None, error
                delivered.append((message.partition(), message.offset(), record))  # type: ignore[attr-defined]

            producer.produce(self.prefix + name, value, key=key, headers=headers, on_delivery=note)  # type: ignore[arg-type]
        assert producer.flush(60) == 0
        if name == "comments":
            self.sent.update({(partition, offset): record for partition, offset, record in delivered})

    def archive(self, limits: FileLimits = SMALL, **options: object) -> ArchiveReport:
        """Archive in this process, once no archiver that was killed is still connected."""
        self.wait_for_no_archiver()
        return archive_topics(as_login(self.settings, "batch"), limits=limits, **options)  # type: ignore[arg-type]

    def archive_and_die(self, point: str, times: int) -> int:
        """Archive in a process that kills itself the n-th time it reaches a point; return its exit code."""
        self.wait_for_no_archiver()
        environment = {**inherited_environment(), **settings_environment(self.settings)}
        folder = Path(__file__).parents[2]
        return run_module("tests.support.crashing_archiver", [point, str(times)], cwd=folder, env=environment).wait(60)

    def wait_for_no_archiver(self) -> None:
        """Wait until PostgreSQL has released the locks of every ended archiver."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            wait_until(
                lambda: (
                    connection.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'moderation archive'"
                    ).fetchone()
                    == (0,)
                ),
                seconds=30,
                description="the end of every archiver's connection",
            )

    def inspect(self) -> Inspection:
        """Return the result of `moderation lake verify`."""
        with opened_lake(self.settings) as lake:
            topics = [self.prefix + name for name in ARCHIVED]
            return inspect(lake.store, lake.connection, topics, "digest")

    def content(self) -> dict[tuple[int, int], Record]:
        """Return every row of topic comments in the manifest by position; a repeated position is an error."""
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute("SELECT path FROM batch.files WHERE topic = %s", (self.topic,)).fetchall()
        paths = [str(self.folder / path) for (path,) in rows]
        if not paths:
            return {}
        found: dict[tuple[int, int], Record] = {}
        with duckdb.connect() as duck:
            for partition, offset, key, value, headers in duck.execute(
                'SELECT partition, "offset", key, value, headers FROM read_parquet(?, hive_partitioning = false)',
                [paths],
            ).fetchall():
                assert (partition, offset) not in found
                named = [(header["name"], header["value"]) for header in headers]
                found[partition, offset] = (None if key is None else key.decode(), value, named)
        return found

    def files(self) -> dict[str, int]:
        """Return every file of the lake but the owner's, with its modification time."""
        return {
            str(path.relative_to(self.folder)): path.stat().st_mtime_ns
            for path in self.folder.rglob("*")
            if path.is_file() and path.name != OWNER_FILE
        }

    def delete_records(self, starts: dict[int, int], *, name: str = "comments") -> None:
        """Delete records as retention does: each partition then starts at this offset."""
        places = [TopicPartition(self.prefix + name, partition, start) for partition, start in starts.items()]
        admin = self._admin()  # must outlive its futures
        for future in admin.delete_records(places).values():
            future.result(30)

    def delete_topic(self) -> None:
        """Delete topic comments and wait until it is gone."""
        admin = self._admin()
        for future in admin.delete_topics([self.topic]).values():
            future.result(30)
        wait_until(
            lambda: self.topic not in admin.list_topics(timeout=10).topics, seconds=30, description="the topic is gone"
        )

    def ends(self) -> dict[int, int]:
        """Return the ends of partitions according to the sent records."""
        ends: dict[int, int] = {}
        for partition, offset in self.sent:
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        return ends

    def _admin(self) -> AdminClient:
        return AdminClient(kafka_of(self.settings).librdkafka({"log_level": 4}))


def plain(values: Sequence[tuple[str, bytes]]) -> list[Record]:
    """Return records without headers."""
    return [(key, value, []) for key, value in values]
