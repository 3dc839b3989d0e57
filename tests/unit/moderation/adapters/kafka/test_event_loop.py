from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from moderation.adapters.kafka.event_loop import run


async def answer() -> int:
    await asyncio.sleep(0)
    return 7


async def refuse() -> int:
    raise ValueError("refused")


def test_a_coroutine_runs_although_the_callers_thread_has_a_running_loop() -> None:
    async def caller() -> int:
        return run(answer())

    assert asyncio.run(caller()) == run(answer()) == 7


def test_its_error_is_raised() -> None:
    with pytest.raises(ValueError, match="refused"):
        run(refuse())


@pytest.mark.parametrize("is_refused", [False, True])
def test_connections_that_a_library_left_open_are_closed(is_refused: bool) -> None:
    ours, theirs = socket.socketpair()

    async def connect() -> None:
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        if is_refused:
            await refuse()

    with theirs, contextlib.suppress(ValueError):
        run(connect())
    assert ours.fileno() == -1
