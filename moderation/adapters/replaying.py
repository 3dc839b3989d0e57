"""Sending dead letters again: the whole bytes from where they still are, to the source topic, acknowledged.

The worker that decides a replay notes the decision's place in the dead letter, in the transaction of its batch. This
module only sends, so a letter stays open until then, and sending it twice is harmless: the second copy is a duplicate
while its pane is open, late afterwards, and in neither case counted again.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from moderation.adapters.lake.reading import Lake
from moderation.adapters.source_log import SourceLog
from moderation.adapters.sql.dead_letters import StoredLetter
from moderation.adapters.topics import producer_settings
from moderation.contracts import REPLAY_OF, parse_record
from moderation.errors import ConfigurationError, InvalidRecord

_DELIVERY_SECONDS = 120
_FULL_SECONDS = 0.05
_log = logging.getLogger(__name__)

Send = Callable[[bytes, bytes, StoredLetter], None]


@dataclass(slots=True)
class Outcome:
    """What became of a selection.

    Attributes:
        replayed: how many were sent.
        already: how many were decided before and left alone.
        still_refused: how many cannot be a comment today either, by reason.
        gone: letters longer than what the ledger keeps, which neither topic nor lake has.
    """

    replayed: int = 0
    already: int = 0
    still_refused: Counter[str] = field(default_factory=Counter)
    gone: list[StoredLetter] = field(default_factory=list)


def replay_letters(
    letters: Iterable[StoredLetter],
    original: Callable[[StoredLetter], bytes | None],
    send: Send,
    now_us: Callable[[], int],
    *,
    again: bool = False,
) -> Outcome:
    """Send what can be a comment.

    Args:
        letters: what was chosen.
        original: gives the bytes to send; None when they are gone.
        send: takes key, value and letter.
        now_us: the time a replay would be appended at: a future-dated record may be past by now.
        again: send those too whose replay was decided.
    """
    outcome = Outcome()
    for letter in letters:
        if letter.replayed_as is not None and not again:
            outcome.already += 1
            continue
        value = original(letter)
        if value is None:
            outcome.gone.append(letter)
            continue
        try:
            comment = parse_record(value, now_us())
        except InvalidRecord as error:
            outcome.still_refused[str(error.reason)] += 1
            continue
        send(comment.comment_id.encode(), value, letter)
        outcome.replayed += 1
    return outcome


def whole_bytes(letter: StoredLetter, log: SourceLog, lake: Lake) -> bytes | None:
    """The record as it was: what the ledger keeps where that is all of it, else from the topic, else from the lake.

    The SHA-256 must agree, so it does not matter which of them is asked first; the ledger is the fastest.

    Raises:
        LakeDamaged: the file of the lake that has the record is not what was written.

    Returns:
        None when none has it.
    """
    kept = letter.letter
    if _is_whole(kept.raw, letter):
        return kept.raw
    value = log.value_at(letter.partition, letter.offset) if letter.topic_id == log.topic_id else None
    if value is None or not _is_whole(value, letter):
        value = lake.value_at(letter.topic_id, letter.partition, letter.offset)
    return value if value is not None and _is_whole(value, letter) else None


class ReplaySender:
    """An idempotent producer that puts a comment where every other producer here does.

    Args:
        bootstrap: Kafka's addresses.
        topic: full name of the source topic.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        self._handed_over = self._acknowledged = 0
        self._error: KafkaError | None = None
        self._producer = Producer(producer_settings(bootstrap, _DELIVERY_SECONDS), logger=_log)

    def send(self, key: bytes, value: bytes, letter: StoredLetter) -> None:
        """Hand one replay over.

        Raises:
            ConfigurationError: an earlier one was refused.
        """
        headers: list[tuple[str, str | bytes | None]] = [(REPLAY_OF, letter.place.encode("ascii"))]
        while True:
            self._raise_error()
            try:
                self._producer.produce(self._topic, value, key=key, headers=headers, on_delivery=self._answered)
                break
            except BufferError:
                self._producer.poll(_FULL_SECONDS)
        self._handed_over += 1
        self._producer.poll(0)

    def wait(self) -> None:
        """Wait until the brokers have everything that was handed over.

        Raises:
            ConfigurationError: a replay was refused, or not acknowledged within two minutes.
        """
        # Every record ends in an answer or an error within its delivery timeout, so this ends.
        while self._producer.flush(1.0) and self._error is None:
            pass
        self._raise_error()

    def close(self) -> None:
        """Give up what was not acknowledged and disconnect."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _answered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._error = self._error or error
        else:
            self._acknowledged += 1

    def _raise_error(self) -> None:
        if self._error is not None:
            sent = f"{self._acknowledged} of {self._handed_over} replays are acknowledged"
            raise ConfigurationError(
                f"topic {self._topic}",
                f"{self._error.str().rstrip('.')}; {sent}",
                "Mend Kafka and repeat the command: a record sent twice is counted once.",
            ) from KafkaException(self._error)


@contextmanager
def sending(bootstrap: str, topic: str) -> Iterator[Send]:
    """A ``send`` whose records are all acknowledged when the block ends well."""
    sender = ReplaySender(bootstrap, topic)
    try:
        yield sender.send
        sender.wait()
    finally:
        sender.close()


def _is_whole(value: bytes, letter: StoredLetter) -> bool:
    return len(value) == letter.letter.raw_length and hashlib.sha256(value).hexdigest() == letter.letter.raw_sha256
