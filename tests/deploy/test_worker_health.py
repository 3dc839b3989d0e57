"""docker/worker-health.py: healthy while the worker works or waits for its first model, unhealthy once it is parked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from stream.exit_codes import REFUSED
from tests.conftest import ROOT

HEALTH, PARK = ROOT / "docker" / "worker-health.py", ROOT / "docker" / "park.sh"


class Answers(BaseHTTPRequestHandler):
    """Responds with the status in the path."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def health(folder: Path, *urls: str) -> tuple[int, str]:
    environment = {"TMPDIR": str(folder), "PATH": os.defpath}
    command = [sys.executable, "-P", str(HEALTH), *urls]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def test_a_serving_worker_is_healthy(server: str, tmp_path: Path) -> None:
    assert health(tmp_path, f"{server}/200", f"{server}/200") == (0, "the worker responds")


def test_a_worker_that_waits_for_its_first_model_is_healthy_and_the_line_states_it(server: str, tmp_path: Path) -> None:
    code, line = health(tmp_path, "http://127.0.0.1:1/health", f"{server}/200")
    assert code == 0
    assert "no model serves yet" in line


@pytest.mark.parametrize("metrics", ["http://127.0.0.1:1/metrics", "{server}/500"])
def test_a_worker_that_does_not_respond_is_not_healthy(server: str, tmp_path: Path, metrics: str) -> None:
    code, line = health(tmp_path, f"{server}/503", metrics.format(server=server))
    assert (code, line) == (1, "neither the worker's API nor its metrics respond")


def test_a_parked_worker_is_not_healthy_until_its_container_starts_again(server: str, tmp_path: Path) -> None:
    environment = {"TMPDIR": str(tmp_path), "PATH": os.defpath}
    parked = subprocess.Popen(
        [PARK, "sh", "-c", f"exit {REFUSED}"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert parked.stderr is not None
        assert "restart the container" in parked.stderr.readline()
        code, line = health(tmp_path, f"{server}/200", f"{server}/200")
        assert code == 1
        assert "restart the container" in line
    finally:
        os.killpg(parked.pid, signal.SIGKILL)
        parked.communicate(timeout=20)
    subprocess.run([PARK, "true"], env=environment, check=True)
    assert health(tmp_path, f"{server}/200", f"{server}/200")[0] == 0
