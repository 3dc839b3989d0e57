"""The registry with an S3 store that only the MLflow server reaches, as in the compose file and the chart."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.stack.environment import inherited_environment
from local.stack.mlflow_server import answers
from local.stack.ports import HOST, any_free_port
from local.stack.wait import wait_until
from moderation.adapters.registry import Registry
from moderation.scoring import ModerationPipeline
from moderation.text import Lexicon
from tests.support.model_folders import GATE, KEYS, MAX_BYTES, POLICY, make_folder
from tests.support.object_store import BUCKET, ObjectStore, object_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    (tmp_path / "s3").mkdir()
    with object_store(tmp_path / "s3") as store:
        yield store


@pytest.fixture
def server_url(store: ObjectStore, tmp_path: Path) -> Iterator[str]:
    """Run an MLflow server whose artifacts are in the store, on SQLite."""
    port, log = any_free_port(), tmp_path / "server.log"
    create_bucket = (
        "import s3fs, sys; s3fs.S3FileSystem(endpoint_url=sys.argv[1]).mkdir(sys.argv[2])",
        store.url,
        BUCKET,
    )
    environment = inherited_environment() | store.environment
    subprocess.run([sys.executable, "-P", "-c", *create_bucket], env=environment, check=True, timeout=60)
    command = [
        *(sys.executable, "-P", "-m", "mlflow", "server", f"--host={HOST}", f"--port={port}", "--workers=1"),
        *(f"--backend-store-uri=sqlite:///{tmp_path / 'mlflow.db'}", "--serve-artifacts"),
        f"--artifacts-destination=s3://{BUCKET}/models",
    ]
    switches = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, env=environment | switches, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT
        ) as server,
    ):
        try:
            wait_until(lambda: answers(port), seconds=120, description=f"the MLflow server, see {log}")
            yield f"http://{HOST}:{port}"
        finally:
            server.terminate()
            server.wait(30)


@pytest.mark.budget(60)
def test_models_are_registered_and_opened_through_the_server_alone(
    store: ObjectStore, server_url: str, pipeline: ModerationPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[object] = []
    connect, store_port = socket.socket.connect, urlsplit(store.url).port

    def connect_unless_store(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[1] == store_port:
            refused.append(address)
            raise OSError("the store is not reachable from here")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect_unless_store)
    # Without this MLflow sends only files above 500 MB directly.
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1")
    lexicon = Lexicon()
    registry = Registry(server_url, "comment-moderation", KEYS)
    folder = make_folder(tmp_path / "trained", pipeline, POLICY)
    version = registry.register(folder, lexicon, MAX_BYTES, run_name="a run", reason="because")
    registry.certify(version, lexicon, MAX_BYTES, gate=GATE)
    registry.open_certified(version, lexicon, MAX_BYTES, tmp_path / "cache")
    assert refused == []
