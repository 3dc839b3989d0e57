"""One real stack for all integration tests, and a corner of it for each test."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from psycopg import sql

from local.layout import StackLayout
from local.ports import DEFAULT_PORTS, HOST
from local.stack import StackInfo, down, up
from local.worker import settings_environment
from moderation.adapters.sql.migrate import migrate_database
from moderation.adapters.topics import ensure_topics
from moderation.bootstrap import register, train_to_folder
from moderation.contracts import Comment
from moderation.policy import parse_goal
from moderation.scoring import ModerationPipeline
from tests.support.dag_runs import DagRuns
from tests.support.filled import FilledDay, filled_day
from tests.support.lakes import LakeUnderTest
from tests.support.model_life import Templates
from tests.support.workers import SpeedLayerUnderTest, base_settings, speed_layer


@contextlib.contextmanager
def _default_ports_taken() -> Iterator[None]:
    """Listen on every default port that is free: the stack must find others."""
    with contextlib.ExitStack() as held:
        for port in DEFAULT_PORTS.values():
            listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                listener.bind((HOST, port))
                listener.listen(1)
        yield


@pytest.fixture(scope="session")
def stack() -> Iterator[StackInfo]:
    """A stack in a folder of its own, on ports that are not the defaults; taken down and deleted at the end."""
    root = Path(tempfile.mkdtemp(prefix="moderation-stack-"))
    layout = StackLayout(root)
    with _default_ports_taken():
        try:
            yield up(layout)
        finally:
            down(layout, purge=True)
            shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def topic_prefix(stack: StackInfo) -> Iterator[str]:
    """A prefix for topic names that no other test has; topics that carry it are deleted afterwards."""
    prefix = f"test-{uuid.uuid4().hex[:12]}-"
    yield prefix
    client = AdminClient({"bootstrap.servers": stack.kafka_bootstrap, "log_level": 4})
    names = [name for name in client.list_topics(timeout=10).topics if name.startswith(prefix)]
    for future in (client.delete_topics(names, operation_timeout=10) if names else {}).values():
        future.result()


@pytest.fixture
def schema(stack: StackInfo) -> Iterator[str]:
    """A schema of the project's database that no other test has; dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("create schema {}").format(sql.Identifier(name)))
    yield name
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def model(
    stack: StackInfo, small_corpus: tuple[list[str], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A registered, certified production model, and the migrated database."""
    migrate_database(stack.database_url())
    folder = tmp_path_factory.mktemp("model")
    settings = base_settings(stack, "")
    rows = zip(*small_corpus, strict=True)
    labelled = ((Comment(f"c{n}", "x", text, n), bool(label)) for n, (text, label) in enumerate(rows))
    goals = [parse_goal("precision>=0.9"), parse_goal("review_share<=0.2")]
    train_to_folder(labelled, folder, goals, settings, folds=3)
    assert register(folder, settings, "for tests") == ("1", True)
    return folder


@pytest.fixture(scope="session")
def templates(stack: StackInfo, pipeline: ModerationPipeline, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Models that versions are made of without another upload."""
    return Templates(base_settings(stack, ""), tmp_path_factory.mktemp("templates"), pipeline)


@pytest.fixture
def layer(stack: StackInfo, model: Path, topic_prefix: str, tmp_path: Path) -> Iterator[SpeedLayerUnderTest]:
    """A speed layer with topics of its own; its workers end with the test."""
    ensure_topics(stack.kafka_bootstrap, prefix=topic_prefix)
    with speed_layer(base_settings(stack, topic_prefix), tmp_path) as layer:
        yield layer


@pytest.fixture(scope="session")
def filled(stack: StackInfo, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilledDay]:
    """A reconciled day that has something of everything; only read it."""
    with filled_day(stack, f"test-{uuid.uuid4().hex[:12]}-", tmp_path_factory.mktemp("filled")) as day:
        yield day


@pytest.fixture
def lake(stack: StackInfo, topic_prefix: str, tmp_path: Path) -> LakeUnderTest:
    """An empty lake in a folder of the test's own, and empty topics."""
    migrate_database(stack.database_url())
    ensure_topics(stack.kafka_bootstrap, prefix=topic_prefix)
    lake_url = str(tmp_path / "lake")
    return LakeUnderTest(base_settings(stack, topic_prefix).model_copy(update={"lake_url": lake_url}))


@pytest.fixture
def commanded(layer: SpeedLayerUnderTest, monkeypatch: pytest.MonkeyPatch) -> SpeedLayerUnderTest:
    """A speed layer that the environment leads commands to."""
    for key, value in settings_environment(layer.settings).items():
        monkeypatch.setenv(key, value)
    return layer


@pytest.fixture(scope="session")
def dag_runs(stack: StackInfo) -> DagRuns:
    """Runs the project's DAGs on the stack, in processes of their own."""
    return DagRuns(stack)
