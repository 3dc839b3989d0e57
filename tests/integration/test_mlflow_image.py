"""Entrypoint of the MLflow image with its packages, on a real PostgreSQL and a real object store."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import s3fs
from psycopg import sql

from local.stack.commands import StackInfo
from local.stack.environment import inherited_environment
from local.stack.mlflow_server import answers
from local.stack.ports import HOST, any_free_port
from local.stack.wait import wait_until
from moderation.adapters.model_folder.folder import open_model
from moderation.adapters.registry import Registry
from moderation.errors import RegistryRefused
from moderation.scoring import ModerationPipeline
from moderation.text import Lexicon
from tests.conftest import ROOT
from tests.deploy.image_environments import image_environment
from tests.support.forbidden_acts import Act, basic, status_of
from tests.support.model_folders import GATE, KEYS, MAX_BYTES, POLICY, make_folder
from tests.support.object_store import BUCKET, object_store
from tests.support.secret_traces import CommandLines

pytestmark = pytest.mark.long

ENTRYPOINT = ROOT / "mlflow" / "entrypoint.sh"
SECRETS = {
    "MLFLOW_AUTH_ADMIN_PASSWORD": "admin-secret-1234",
    "REGISTRY_BATCH_PASSWORD": "batch-secret-1234",
    "REGISTRY_WORKER_PASSWORD": "worker-secret-1234",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "anything-long-enough",
}


@dataclass(frozen=True, slots=True)
class ServerImage:
    """Environment of a container of the image."""

    folder: Path
    port: int
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run the entrypoint to its end; a variable changed to None is not set."""
        environment = {key: value for key, value in {**self.environment, **changes}.items() if value}
        return subprocess.run(
            [ENTRYPOINT, *arguments],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Run the server until the block ends."""
        log = self.folder / "server.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [ENTRYPOINT], env=self.environment, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT
            ) as server,
        ):
            try:
                wait_until(lambda: answers(self.port), seconds=120, description=f"the MLflow server, see {log}")
                yield
            finally:
                server.terminate()
                server.wait(30)


@pytest.fixture
def image(stack: StackInfo, tmp_path: Path) -> Iterator[ServerImage]:
    names = [f"{name}_{uuid.uuid4().hex[:8]}" for name in ("registry", "accounts")]
    url = stack.database_url()
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    server, port = url.rsplit("/", 1)[0].replace("://", "+psycopg://", 1), any_free_port()
    (tmp_path / "s3").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "access").mkdir()
    shutil.copy(ROOT / "local" / "access" / "registry.py", tmp_path / "access" / "registry_access.py")
    try:
        with object_store(tmp_path / "s3") as store:
            python = image_environment("mlflow")
            yield ServerImage(
                tmp_path / "work",
                port,
                inherited_environment()
                | store.environment
                | SECRETS
                | {
                    "PATH": f"{python.parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
                    "TMPDIR": str(tmp_path / "work"),
                    "PYTHONSAFEPATH": "1",
                    "PYTHONPATH": str(tmp_path / "access"),
                    "MLFLOW_HOST": HOST,
                    "MLFLOW_PORT": str(port),
                    "MLFLOW_WORKERS": "1",
                    "MLFLOW_DISABLE_TELEMETRY": "true",
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                    "MLFLOW_SERVER_ALLOWED_HOSTS": f"{HOST}:{port}",
                    "MLFLOW_BACKEND_STORE_URI": f"{server}/{names[0]}",
                    "REGISTRY_ACCOUNTS_URI": f"{server}/{names[1]}",
                    "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/models",
                    "MLFLOW_TRACKING_URI": f"http://{HOST}:{port}",
                },
            )
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            for name in names:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def status(image: ServerImage, path: str, host: str) -> int:
    connection = http.client.HTTPConnection(HOST, image.port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.budget(280)
def test_the_server_migrates_serves_with_accounts_and_keeps_models_in_the_object_store(
    image: ServerImage, pipeline: ModerationPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CommandLines() as lines:
        migrated = image.run("migrate")
    assert migrated.returncode == 0, migrated.stderr
    password = urlsplit(image.environment["MLFLOW_BACKEND_STORE_URI"]).password
    assert password
    assert [line for line in lines.seen if password in line] == []
    with image.serving():
        own = f"{HOST}:{image.port}"
        assert status(image, "/api/2.0/mlflow/registered-models/search", own) == 401
        assert status(image, "/health", own) == 200
        assert status(image, "/api/2.0/mlflow/registered-models/search", "mlflow.evil.example") == 403
        for said in ("made", "has its password"):
            accounts = image.run("accounts")
            assert accounts.returncode == 0, accounts.stderr
            assert accounts.stdout.count(said) == 2

        def registry_as(account: str) -> Registry:
            monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", account)
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRETS[f"REGISTRY_{account.upper()}_PASSWORD"])
            return Registry(image.url, "comment-moderation", KEYS)

        lexicon = Lexicon()
        folder = make_folder(tmp_path / "trained", pipeline, POLICY)
        batch = registry_as("batch")
        version = batch.register(folder, lexicon, MAX_BYTES, run_name="a run", reason="because")
        batch.certify(version, lexicon, MAX_BYTES, gate=GATE)
        assert batch.ensure_alias("production", version)

        worker = registry_as("worker")
        found = worker.resolve("production")
        assert found == batch.version(version.version)
        opened = worker.open_certified(found, lexicon, MAX_BYTES, tmp_path / "cache")
        trained = open_model(folder, lexicon, MAX_BYTES)
        assert opened.kernel.score_one("you idiot!!!") == trained.kernel.score_one("you idiot!!!")
        act = Act("worker", "create a model", "POST", "/api/2.0/mlflow/registered-models/create", {"name": "another"})
        assert status_of(image.port, act, {}, basic("worker", SECRETS["REGISTRY_WORKER_PASSWORD"])) == 403
        with pytest.raises(RegistryRefused, match="account worker"):
            worker.register(folder, lexicon, MAX_BYTES, run_name="a run", reason="a worker must not")
    settings = image.environment
    fs = s3fs.S3FileSystem(
        key=settings["AWS_ACCESS_KEY_ID"],
        secret=settings["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=settings["AWS_ENDPOINT_URL"],
        skip_instance_cache=True,
    )
    # The server ended with the block, the object store did not.
    assert any(path.endswith("model.skops") for path in fs.find(f"{BUCKET}/models"))
