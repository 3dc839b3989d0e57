"""The health check of docker-compose.yaml's broker, run against a real broker on another port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading

import pytest

from local.stack.commands import StackInfo
from tests.deploy.files import Files

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


def exit_code(port: int, seconds: float = 10) -> int:
    program, option, script = Files().services["kafka"]["healthcheck"]["test"][1:]
    assert "/9092 " in script
    # Compose prints a dollar sign twice.
    command = [program, option, script.replace("$$", "$").replace("/9092 ", f"/{port} ")]
    return subprocess.run(command, capture_output=True, timeout=seconds, check=False).returncode


def test_it_passes_if_the_broker_answers(stack: StackInfo) -> None:
    assert exit_code(int(stack.kafka_bootstrap.rpartition(":")[2])) == 0


def test_it_fails_if_nothing_listens_or_the_connection_ends_without_an_answer() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert exit_code(unused.getsockname()[1]) != 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        assert exit_code(port) != 0
        thread.join()


def test_it_does_not_end_while_a_listener_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(subprocess.TimeoutExpired):
        exit_code(listener.getsockname()[1], seconds=0.5)
