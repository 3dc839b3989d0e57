"""Results of a run of the source."""

from __future__ import annotations

from dataclasses import dataclass

from moderation.contracts import MAX_RECORD_BYTES


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """Record that the source does not send because it is larger than 1 MiB.

    Attributes:
        arrival: number of the arrival in the input, from 1; skipped arrivals count.
        topic: name of the topic without prefix.
        key: key of the record: the comment_id if it can be read.
        length_bytes: length of the value.
    """

    arrival: int
    topic: str
    key: str
    length_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.topic} record {self.key} (arrival {self.arrival}) has {self.length_bytes} bytes; "
            f"the limit is {MAX_RECORD_BYTES}"
        )


@dataclass(frozen=True, slots=True)
class SendResult:
    """Records that one run sent.

    Attributes:
        comments: acknowledged records of ``comments``.
        actions: acknowledged records of ``actions``.
        seconds: time from the start to the last acknowledgement.
        refused: records that were too large to send.
        resumed_after: arrivals that earlier runs had processed.
    """

    comments: int = 0
    actions: int = 0
    seconds: float = 0.0
    refused: tuple[RefusedRecord, ...] = ()
    resumed_after: int = 0
