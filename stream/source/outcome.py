"""What a run of the source comes to."""

from __future__ import annotations

from dataclasses import dataclass

from moderation.contracts import MAX_RECORD_BYTES


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that the source does not send because it is larger than 1 MiB.

    Attributes:
        arrival: its number in the input, from 1, skipped ones counted.
        topic: the topic it was for, without prefix.
        key: its key, the comment_id if it has a readable one.
        length_bytes: length of its value.
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
    """What one run sent.

    Attributes:
        comments: records of ``comments`` acknowledged.
        actions: records of ``actions`` acknowledged.
        seconds: from its start to the last acknowledgement.
        refused: what was too large to be sent.
        resumed_after: arrivals that earlier runs had dealt with.
    """

    comments: int = 0
    actions: int = 0
    seconds: float = 0.0
    refused: tuple[RefusedRecord, ...] = ()
    resumed_after: int = 0
