"""Send dead letters with all their bytes to the source topic again, and wait for the acknowledgements.

The worker that decides a replay closes the dead letter in the transaction of its batch, if the value has the length and
digest of the dead letter or of its correction (:mod:`moderation.contracts.replays`). Until then the dead letter stays
open. Sending it twice is harmless: the second copy is a duplicate while its pane is open, and late afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from moderation.adapters.kafka.acknowledged_sender import acknowledged_sender
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topic_reader import TopicReader
from moderation.adapters.lake.reader import Lake
from moderation.contracts import REPLAY_OF, Content
from moderation.dead_letters import Send, StoredLetter


def whole_bytes(letter: StoredLetter, log: TopicReader, lake: Lake) -> bytes | None:
    """Return the whole record from the ledger if it has all bytes, else from the topic, else from the lake.

    The SHA-256 must match, so the order does not matter; the ledger is the fastest.

    Raises:
        LakeDamaged: the lake file with the record is altered.

    Returns:
        The bytes; None if none of them has the record.
    """
    kept = letter.letter
    if _is_whole(kept.raw, letter):
        return kept.raw
    value = log.value_at(letter.partition, letter.offset) if letter.topic_id == log.topic_id else None
    if value is None or not _is_whole(value, letter):
        value = lake.value_at(letter.topic_id, letter.partition, letter.offset)
    return value if value is not None and _is_whole(value, letter) else None


@contextmanager
def replay_sender(kafka: KafkaConnection, topic: str) -> Iterator[Send]:
    """Yield a function that sends replays; when the block ends without an error, all are acknowledged."""
    remedy = "Fix Kafka and repeat the command: a record sent twice is counted once."
    with acknowledged_sender(kafka, topic, "replays", remedy) as sender:
        yield lambda key, value, letter: sender.send(key, value, [(REPLAY_OF, letter.position.header())])


def _is_whole(value: bytes, letter: StoredLetter) -> bool:
    expected = Content(letter.letter.raw_length, letter.letter.raw_sha256)
    return len(value) == expected.length and Content.of(value) == expected
