"""Port checks of the stack on the loopback address, without any server."""

from __future__ import annotations

import socket
from pathlib import Path

from local.stack.airflow_health import answers
from local.stack.ports import HOST, any_free_port, choose_ports, is_free
from local.stack.processes import listens


def test_a_port_that_is_listened_on_is_not_free_until_the_listener_ends() -> None:
    port = any_free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((HOST, port))
        listener.listen(1)
        assert not is_free(port)
        assert choose_ports({"a": port})["a"] != port
    assert is_free(port)


def test_a_server_that_is_not_there_does_not_answer() -> None:
    assert not answers(any_free_port())


def test_a_foreign_server_on_a_port_is_not_mistaken_for_the_stack(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind((HOST, 0))
        stranger.listen(1)
        assert not listens(tmp_path, stranger.getsockname()[1])
