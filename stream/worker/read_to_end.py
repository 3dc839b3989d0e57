"""At which broker times partitions were read to their ends: that closes the windows of a partition without records.

A look takes the time, then asks where the logs end. Once the ledger is past such an end, every record that was appended
before that time is accounted for: a later one has a later append time. A log with an open transaction ends behind its
records, which cannot be read, so it counts as unread until the transaction is over.

A broker's clock cannot be asked for. This worker's stands for it, less a margin: it may be ahead of the broker's by as
much. A record that comes after an end, with an append time before the look, shows by how much the clock is ahead; the
difference is subtracted as well. If the clock is ahead by more and no record has shown it, windows close early; a
record that comes then is counted all the same, and the window counts as re-opened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import IsolationLevel

from moderation.adapters.kafka.end_offsets import LogEnds
from moderation.timestamps import now_us

OBSERVE_SECONDS = 5.0
CLOCK_MARGIN_US = 60 * 1_000_000
"""So far may the worker's clock be ahead of a broker's."""
_LOGGED_US = 1_000_000
_log = logging.getLogger(__name__)


def end_tracker(bootstrap: str, topic: str) -> EndTracker:
    """Looks at a topic, over a connection of their own.

    Args:
        bootstrap: addresses of brokers.
        topic: full name.
    """
    return EndTracker(LogEnds(bootstrap, topic, IsolationLevel.READ_UNCOMMITTED).ask, now_us)


@dataclass(frozen=True, slots=True)
class ObservedEnd:
    """Where a partition ended.

    Attributes:
        end: of the log, records of open transactions included.
        time_us: this machine's time before the broker was asked.
    """

    end: int
    time_us: int


class EndTracker:
    """The last look at each partition. Looks and questions may come from different threads.

    Args:
        ask: gives the ends of partitions' logs, open transactions included; None when no broker answers.
        now_us: this machine's clock, microseconds since the epoch.
    """

    def __init__(self, ask: Callable[[Iterable[int]], Mapping[int, int] | None], now_us: Callable[[], int]) -> None:
        self._ask = ask
        self._now_us = now_us
        self._observed: dict[int, ObservedEnd] = {}
        self.ahead_us = 0
        """This machine's clock is ahead of a broker's by at least this."""

    def observe(self, stored: Mapping[int, int]) -> None:
        """Ask where partitions end. An end that the ledger has not reached yet is kept until it has.

        Args:
            stored: for each partition to ask for, the first offset that is not stored.
        """
        time_us = self._now_us()
        wanted = [
            partition
            for partition, offset in stored.items()
            if (last := self._observed.get(partition)) is None or last.end <= offset
        ]
        for partition, end in (self._ask(wanted) or {}).items() if wanted else ():
            # A log that ends before what is stored has lost records; other checks stop the worker.
            if end >= stored[partition]:
                self._observed[partition] = ObservedEnd(end, time_us)

    def read_to_end_us(self, partition: int, next_offset: int) -> int | None:
        """The latest broker time at which a partition is known to have been read to its end; None if it is not.

        Args:
            partition: of the topic.
            next_offset: the first offset that is not stored.
        """
        observed = self._observed.get(partition)
        if observed is None or next_offset < observed.end:
            return None
        return observed.time_us - CLOCK_MARGIN_US - self.ahead_us

    def compare(self, partition: int, offset: int, append_us: int) -> None:
        """Compare the clocks by a record that was appended after a look at its partition.

        Args:
            partition, offset: of the record.
            append_us: its append time.
        """
        observed = self._observed.get(partition)
        if observed is None or offset < observed.end:
            return
        ahead_us = observed.time_us - append_us
        if ahead_us >= self.ahead_us + _LOGGED_US:
            _log.warning(
                "the clock of this machine is ahead of the broker's by %.0f s at least: partition %d offset %d; "
                "synchronize the clocks, windows of quiet communities close so much later",
                ahead_us / 1e6,
                partition,
                offset,
            )
        self.ahead_us = max(self.ahead_us, ahead_us)
