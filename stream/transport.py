"""Faust's aiokafka transport, changed in two places: where it seeks, and how it hands messages on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

Seek = Callable[[set[TP]], Awaitable[Mapping[TP, int]]]


class LedgerConsumer(driver.Consumer):
    """Starts every assignment where the ledger stands, not where Kafka's group offsets do."""

    async def perform_seek(self) -> None:
        """Ask the ledger for the assigned partitions' positions and seek there.

        Faust calls this after each assignment, after its own callbacks, and awaits it before fetching.
        """
        await super().perform_seek()
        assigned = self.assignment()
        if not assigned:
            return
        positions = await cast(LedgerTransport, self.transport).seek_positions(assigned)
        await self.seek_wait(positions)
        for tp, offset in positions.items():
            self._read_offset[tp] = offset or None
            self._committed_offset[tp] = offset or None

    async def _drain_messages(self, fetcher: Any) -> None:
        # Faust's own loop wraps every message in four asyncio tasks (wait_first) so that a suspended flow can
        # interrupt the hand-over. Awaiting the hand-over itself while the flow is active does the same work once.
        callback = self.callback
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                messages = self.getmany(timeout=1.0)
                await self.sleep(0)
                if self.should_stop:
                    return
                async for tp, message in messages:
                    read = self._read_offset[tp]
                    if read is not None and message.offset < read:
                        continue
                    if self.flow_active:
                        await callback(message)
                    else:
                        await self.wait_first(callback(message), self.suspend_flow.wait())
                    self._read_offset[tp] = message.offset
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.transport.app.should_stop:
                raise


class LedgerTransport(driver.Transport):
    """The transport that makes :class:`LedgerConsumer`.

    Args:
        url: Faust's broker URLs.
        app: the Faust app.
        seek_positions: gives the offsets to seek to for an assignment.
    """

    Consumer = LedgerConsumer

    def __init__(self, url: Any, app: Any, seek_positions: Seek) -> None:
        super().__init__(url, app)
        self.seek_positions = seek_positions
