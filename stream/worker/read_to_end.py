"""Track the broker time up to which partitions were read to their ends, which closes windows of idle partitions.

An observation takes the time, then asks for the ends of the logs. Once the ledger has reached such an end, every record
appended before that time is accounted for, because later records have later append times. The end of a log with an
open transaction is after its unreadable records, so the log counts as unread until the transaction ends.

A broker does not report its clock. The worker uses its own clock minus a margin, because it may be ahead of the
broker's. A record after an observed end, with an append time before the observation, shows how much the clock is ahead;
this difference is subtracted as well. If the clock is ahead by more than the margin and no record has shown it, windows
close early; a later record is still counted, and the window counts as re-opened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import IsolationLevel

from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.end_offsets import LogEnds
from moderation.timestamps import CLOCK_MARGIN_US, SECOND_US, now_us

_OBSERVE_US = 5 * SECOND_US
"""Time between two questions for the end of a partition that was read to its end."""
_LOGGED_US = 1_000_000
_log = logging.getLogger(__name__)


def end_tracker(kafka: KafkaConnection, topic: str) -> EndTracker:
    """Create a tracker for a topic with a connection of its own.

    Args:
        kafka: the connection.
        topic: full name of the topic.
    """
    return EndTracker(LogEnds(kafka, topic, IsolationLevel.READ_UNCOMMITTED).ask, now_us)


@dataclass(frozen=True, slots=True)
class ObservedEnd:
    """Observed end of a partition.

    Attributes:
        end: end of the log, records of open transactions included.
        time_us: this machine's time before the broker was asked.
    """

    end: int
    time_us: int


class EndTracker:
    """The last observed end of each partition. Methods may be called from different threads.

    Args:
        ask: returns the ends of partitions, open transactions included; None if no broker answers.
        now_us: this machine's clock, microseconds since the epoch.
    """

    def __init__(self, ask: Callable[[Iterable[int]], Mapping[int, int] | None], now_us: Callable[[], int]) -> None:
        self._ask = ask
        self._now_us = now_us
        self._observed: dict[int, ObservedEnd] = {}
        self.ahead_us = 0
        """Lower bound of how much this machine's clock is ahead of a broker's."""

    def observe(self, stored: Mapping[int, int]) -> None:
        """Ask where partitions end, once in five seconds. An end that the ledger has not reached is kept until it has.

        Args:
            stored: first offset that is not stored, by partition.
        """
        time_us = self._now_us()
        wanted = [
            partition
            for partition, offset in stored.items()
            if (last := self._observed.get(partition)) is None
            or (last.end <= offset and abs(time_us - last.time_us) >= _OBSERVE_US)
        ]
        for partition, end in (self._ask(wanted) or {}).items() if wanted else ():
            # A log that ends before the stored offset has lost records; other checks stop the worker.
            if end >= stored[partition]:
                self._observed[partition] = ObservedEnd(end, time_us)

    def read_to_end_us(self, partition: int, next_offset: int) -> int | None:
        """Return the latest broker time at which a partition was read to its end; None if it was not.

        Args:
            partition: partition of the topic.
            next_offset: the first offset that is not stored.
        """
        observed = self._observed.get(partition)
        if observed is None or next_offset < observed.end:
            return None
        return observed.time_us - CLOCK_MARGIN_US - self.ahead_us

    def compare(self, partition: int, offset: int, append_us: int) -> None:
        """Compare the clocks with a record that was appended after an observation of its partition.

        Args:
            partition: partition of the record.
            offset: offset of the record.
            append_us: append time of the record.
        """
        observed = self._observed.get(partition)
        if observed is None or offset < observed.end:
            return
        ahead_us = observed.time_us - append_us
        if ahead_us >= self.ahead_us + _LOGGED_US:
            _log.warning(
                "the clock of this machine is ahead of the broker's by %.0f s at least: partition %d offset %d; "
                "synchronize the clocks; windows of idle communities close later by this time",
                ahead_us / 1e6,
                partition,
                offset,
            )
        self.ahead_us = max(self.ahead_us, ahead_us)
