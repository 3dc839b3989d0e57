"""``mlflow models serve`` gives the same scores as the worker."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from local.stack.commands import StackInfo
from local.stack.environment import inherited_environment
from local.stack.ports import HOST, any_free_port
from local.stack.wait import wait_until
from moderation.adapters.model_folder.folder import open_model
from moderation.adapters.registry import ModelVersion, Registry
from moderation.scoring import ModerationPipeline
from moderation.text import Lexicon
from tests.conftest import ROOT
from tests.support.model_folders import KEYS, MAX_BYTES, POLICY, TEXTS, make_folder

UV = shutil.which("uv") or shutil.which("uv", path=ROOT / ".tools" / "bin")


@pytest.mark.parametrize(
    "manager",
    [
        pytest.param("local", marks=pytest.mark.long),
        # It creates an environment from the model's requirements, without this project, and needs a package index.
        pytest.param("uv", marks=[pytest.mark.proof, pytest.mark.budget(240)]),
    ],
)
def test_mlflow_models_serve_gives_the_same_scores(
    manager: str, stack: StackInfo, pipeline: ModerationPipeline, tmp_path: Path
) -> None:
    if manager == "uv" and UV is None:
        pytest.skip("uv is neither on the PATH nor in .tools")
    folder, lexicon = make_folder(tmp_path / "trained", pipeline, POLICY), Lexicon()
    registry = Registry(stack.mlflow_url, f"moderation-{uuid.uuid4().hex[:12]}", KEYS)
    version = registry.register(folder, lexicon, MAX_BYTES, run_name="a run", reason="because")
    local = open_model(folder, lexicon, MAX_BYTES)
    with served(stack.mlflow_url, version, tmp_path, manager) as port:
        status, answer = invoke(port, [[text] for text in TEXTS])
        assert status == 200, answer
        scores = local.kernel.score_many(TEXTS)
        assert answer["predictions"] == [
            {"score_ppm": score, "verdict": verdict.value, "policy_version": POLICY.policy_version}
            for score, verdict in zip(scores.tolist(), local.policy.verdicts(scores), strict=True)
        ]
        assert [invoke(port, [[text]])[1]["predictions"][0]["score_ppm"] for text in TEXTS[:5]] == scores[:5].tolist()
        assert invoke(port, []) == (200, {"predictions": []})
        assert invoke(port, [[None]])[0] == 400
        assert invoke(port, [[5]])[0] == 400


def invoke(port: int, rows: Sequence[Sequence[object]]) -> tuple[int, dict[str, list[dict[str, object]]]]:
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        body = json.dumps({"dataframe_split": {"columns": ["body"], "data": rows}})
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@contextmanager
def served(mlflow_url: str, version: ModelVersion, scratch: Path, manager: str) -> Iterator[int]:
    """Run ``mlflow models serve`` on a free port; end it with all its processes."""
    port, log = any_free_port(), scratch / "serve.log"
    inherited = inherited_environment()
    environment = {
        **inherited,
        # It starts uvicorn and uv by name.
        "PATH": f"{Path(sys.executable).parent}:{inherited.get('PATH', '')}:{Path(UV or '.').parent}",
        "MLFLOW_ENV_ROOT": str(scratch / "environments"),
        "UV_PYTHON_DOWNLOADS": "never",
        "MLFLOW_TRACKING_URI": mlflow_url,
        **{name: os.environ[name] for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")},  # noqa: TID251
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONSAFEPATH": "1",
    }
    command = [sys.executable, "-m", "mlflow", "models", "serve", f"--env-manager={manager}", f"--host={HOST}"]
    command += [f"--port={port}", f"--model-uri=models:/{version.name}/{version.version}"]
    with log.open("wb") as output:
        process = psutil.Popen(command, cwd=scratch, env=environment, stdout=output, stderr=subprocess.STDOUT)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    try:
        wait_until(ready, seconds=240, description=f"mlflow models serve, see {log}")
        yield port
    finally:
        family = [process, *process.children(recursive=True)]
        for member in family:
            member.terminate()
        for member in psutil.wait_procs(family, timeout=15)[1]:
            member.kill()
        assert psutil.wait_procs(family, timeout=15)[1] == []
