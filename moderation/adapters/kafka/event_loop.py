"""Run coroutines of aiokafka from plain functions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from weakref import WeakSet

T = TypeVar("T")


class ConnectionLoop(asyncio.SelectorEventLoop):
    """An event loop that can close connections which a library left open.

    aiokafka does not wait until its first connection is closed. The end of a TLS connection takes an answer of the
    broker, and until then the socket stays open.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: WeakSet[asyncio.Transport] = WeakSet()

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        """Connect as the base class does, and note the connection."""
        transport, protocol = await super().create_connection(*arguments, **options)
        self._made.add(transport)
        return transport, protocol

    async def close_connections(self) -> None:
        """Close every connection at once, without waiting for the other side."""
        for transport in tuple(self._made):
            transport.abort()
        await asyncio.sleep(0)  # The loop closes the sockets in its next pass.


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread of its own and return its result: the caller's thread may have a running loop."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_run, coroutine).result()


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    loop = ConnectionLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(coroutine)
        finally:
            runner.run(loop.close_connections())
