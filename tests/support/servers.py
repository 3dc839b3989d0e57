"""Fixtures of the real stack: one stack per test process, and topics, schemas and models of a test's own on it.

Each process of pytest-xdist has a stack of its own, so that tests of different processes share no server, table,
alias or topic. With ``--stack FOLDER`` the stacks live in that folder, are reused and stay up after the run.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.stack.ports import DEFAULT_PORTS, HOST

# Fixtures import the clients of servers themselves, because this plugin is also loaded for unit tests.
if TYPE_CHECKING:
    from local.stack.commands import StackInfo
    from moderation.scoring import ModerationPipeline
    from tests.support.dag_runs import DagRuns
    from tests.support.full_day import FilledDay
    from tests.support.lakes import LakeUnderTest
    from tests.support.model_life import Templates
    from tests.support.object_store import ObjectStore
    from tests.support.secure_kafka import SecureKafka
    from tests.support.workers import SpeedLayerUnderTest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", metavar="FOLDER", help="reuse the stacks in this folder and leave them up")


@contextlib.contextmanager
def _default_ports_taken() -> Iterator[None]:
    """Occupy every free default port, so that the stack must find others."""
    with contextlib.ExitStack() as held:
        for port in DEFAULT_PORTS.values():
            listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                listener.bind((HOST, port))
                listener.listen(1)
        yield


def _own_ports(worker_id: str) -> dict[str, int]:
    """Return ports for this process only, below the ephemeral range of the system."""
    number = 0 if worker_id == "master" else 1 + int(worker_id.removeprefix("gw"))
    return {name: 21_000 + 100 * number + place for place, name in enumerate(DEFAULT_PORTS)}


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config, worker_id: str) -> Iterator[StackInfo]:
    """Stack of this process on non-default ports; deleted at the end unless it is reused."""
    from local.stack import kafka, mlflow_accounts
    from local.stack.commands import down, up
    from local.stack.layout import StackLayout
    from local.stack.state_file import StackState, save_stack_state
    from tests.support import fork_server

    fork_server.start()  # imports while the servers start
    java = kafka._java

    reused = pytestconfig.getoption("--stack")
    root = Path(reused).resolve() / worker_id if reused else Path(tempfile.mkdtemp(prefix="moderation-stack-"))
    layout = StackLayout(root)
    with _default_ports_taken(), pytest.MonkeyPatch.context() as patch:
        # In short tests, the JVM's second compiler costs the broker more time than it saves.
        patch.setattr(kafka, "_java", lambda *given: (*java(*given), "-XX:TieredStopAtLevel=1"))
        try:
            if not layout.state_file.exists():
                layout.make_folders()
                save_stack_state(layout.state_file, StackState(_own_ports(worker_id)))
            info = up(layout)
            _allow_alterations(info)
            # MLflow's own clients in tests log in as the batch layer does.
            patch.setenv("MLFLOW_TRACKING_USERNAME", mlflow_accounts.BATCH)
            patch.setenv("MLFLOW_TRACKING_PASSWORD", mlflow_accounts.passwords(layout)[mlflow_accounts.BATCH])
            yield info
        finally:
            if not reused:
                down(layout, purge=True)
                shutil.rmtree(root, ignore_errors=True)


def _allow_alterations(stack: StackInfo) -> None:
    """Let the owner alter decisions and dead letters, as many tests do; programs log in as other roles."""
    import psycopg

    with psycopg.connect(stack.database_url()) as connection:
        connection.execute("ALTER ROLE moderation SET moderation.ledger_change = 'tests'")


@pytest.fixture
def topic_prefix(stack: StackInfo) -> Iterator[str]:
    """Unique prefix of topic names; topics with it are deleted afterwards."""
    from confluent_kafka.admin import AdminClient

    prefix = f"test-{uuid.uuid4().hex[:12]}-"
    yield prefix
    client = AdminClient(stack.kafka.librdkafka({"log_level": 4}))
    names = [name for name in client.list_topics(timeout=10).topics if name.startswith(prefix)]
    for future in (client.delete_topics(names, operation_timeout=10) if names else {}).values():
        future.result()


@pytest.fixture
def schema(stack: StackInfo) -> Iterator[str]:
    """Unique schema of the project's database; dropped afterwards."""
    import psycopg
    from psycopg import sql

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
    """Registered and certified production model, with the migrated database."""
    from moderation.adapters.sql.migrate import migrate_database
    from moderation.bootstrap import register, train_to_folder
    from moderation.contracts import Comment
    from moderation.policy import parse_goal
    from tests.support.workers import base_settings

    migrate_database(stack.database_url())
    folder = tmp_path_factory.mktemp("model")
    settings = base_settings(stack, "")
    rows = zip(*small_corpus, strict=True)
    labelled = ((Comment(f"c{n}", "x", text, n), bool(label)) for n, (text, label) in enumerate(rows))
    goals = [parse_goal("precision>=0.9"), parse_goal("review_share<=0.2")]
    train_to_folder(labelled, folder, goals, settings, folds=3)
    assert register(folder, settings, "for tests").is_production
    return folder


@pytest.fixture(scope="session")
def templates(stack: StackInfo, pipeline: ModerationPipeline, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Uploaded models that versions reuse, with the migrated database."""
    from moderation.adapters.sql.migrate import migrate_database
    from tests.support.model_life import Templates
    from tests.support.workers import base_settings

    migrate_database(stack.database_url())
    return Templates(base_settings(stack, ""), tmp_path_factory.mktemp("templates"), pipeline)


@pytest.fixture
def layer(stack: StackInfo, model: Path, topic_prefix: str, tmp_path: Path) -> Iterator[SpeedLayerUnderTest]:
    """Speed layer with topics of its own; its workers end with the test."""
    from moderation.adapters.kafka.topics import ensure_topics
    from tests.support.workers import base_settings, speed_layer

    ensure_topics(stack.kafka, prefix=topic_prefix)
    with speed_layer(base_settings(stack, topic_prefix), tmp_path) as layer:
        yield layer


@pytest.fixture(scope="session")
def filled(stack: StackInfo, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilledDay]:
    """Reconciled day with data of every kind; read-only."""
    from tests.support.full_day import filled_day

    with filled_day(stack, f"test-{uuid.uuid4().hex[:12]}-", tmp_path_factory.mktemp("filled")) as day:
        yield day


@pytest.fixture
def lake(stack: StackInfo, topic_prefix: str, tmp_path: Path) -> LakeUnderTest:
    """Empty lake in a folder of the test, with empty topics."""
    from moderation.adapters.kafka.topics import ensure_topics
    from moderation.adapters.sql.migrate import migrate_database
    from tests.support.lakes import LakeUnderTest
    from tests.support.workers import base_settings

    migrate_database(stack.database_url())
    ensure_topics(stack.kafka, prefix=topic_prefix)
    lake_url = str(tmp_path / "lake")
    return LakeUnderTest(base_settings(stack, topic_prefix).model_copy(update={"lake_url": lake_url}))


@pytest.fixture
def commanded(layer: SpeedLayerUnderTest, monkeypatch: pytest.MonkeyPatch) -> SpeedLayerUnderTest:
    """Speed layer that commands use because of the environment."""
    from local.stack.worker import settings_environment

    for key, value in settings_environment(layer.settings).items():
        monkeypatch.setenv(key, value)
    return layer


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """S3-compatible server without a bucket."""
    from tests.support.object_store import object_store

    with object_store(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def secure_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """Broker with TLS, mutual TLS, SASL and an authorizer."""
    from tests.support.secure_kafka import secure_kafka

    with secure_kafka(tmp_path_factory.mktemp("secure")) as broker:
        yield broker


@pytest.fixture(scope="session")
def dag_runs(stack: StackInfo) -> Iterator[DagRuns]:
    """Runs the project's DAGs on the stack, in processes of their own."""
    from tests.support.dag_runs import DagRuns

    with contextlib.closing(DagRuns(stack)) as runs:
        yield runs
