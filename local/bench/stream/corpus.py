"""Comments for benchmarks: real lengths, and a given share of texts and words that are new to a worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from batch.progress import OnProgress
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topics import producer_settings
from moderation.contracts import Comment, to_json
from moderation.timestamps import now_us

_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ki", "lo", "mu", "ne", "pa", "ra", "si", "to", "vu", "ze")
_COMMUNITIES = ("science", "cooking", "gaming", "cycling")
_DELIVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Corpus:
    """An endless sequence of texts with a given share of new words.

    The default share is estimated by Heaps' law: a corpus of n words has k·n^β distinct words. Fitted to
    halves of the 5,000 comments of the r/science export, β is 0.66, and 9 % of the words are new at its end. So after
    200,000 comments 2.6 % of the words are new to a worker.

    Attributes:
        texts: the texts from which they are made.
        new_words_share: share of words, separated by blanks, that are new.
    """

    texts: Sequence[str]
    new_words_share: float = 0.026

    def body(self, number: int) -> str:
        """Return the text of a comment; the same number gives the same text."""
        chunks = self.texts[number % len(self.texts)].split(" ")
        every = round(1 / self.new_words_share)
        for position in range(number * 7_919 % every, len(chunks), every):
            chunks[position] = _word(number * 10_000 + position)
        return " ".join(chunks)

    def comment(self, number: int, event_time_us: int) -> Comment:
        """Return the comment of a number."""
        return Comment(f"b{number:09d}", _COMMUNITIES[number % len(_COMMUNITIES)], self.body(number), event_time_us)

    def describe(self) -> dict[str, Any]:
        """Return figures that describe the texts."""
        sample = range(len(self.texts), 2 * len(self.texts))
        changed = [self.body(number) != self.texts[number % len(self.texts)] for number in sample]
        return {
            "texts": len(self.texts),
            "mean_characters": round(sum(map(len, self.texts)) / len(self.texts), 1),
            "new_words_share": self.new_words_share,
            "never_seen_texts_share": round(sum(changed) / len(changed), 3),
        }


def preload(kafka: KafkaConnection, topic: str, corpus: Corpus, count: int, on_progress: OnProgress) -> None:
    """Fill a topic; returns after the broker acknowledged everything.

    Raises:
        RuntimeError: a record was not accepted.
    """
    current_us = now_us()
    sender = Sender(kafka, topic)
    for number in range(count):
        if number % 50_000 == 0:
            on_progress(f"sending comment {number:,} of {count:,}")
        sender.send(corpus.comment(number, current_us - (count - number) * 1_000))
    sender.close()


class Sender:
    """A producer that raises an error for a failed delivery.

    Args:
        kafka: the connection.
        topic: the destination.
        linger_ms: how long a record waits for others in its batch.
    """

    def __init__(self, kafka: KafkaConnection, topic: str, linger_ms: int = 20) -> None:
        settings: dict[str, Any] = {**producer_settings(kafka, _DELIVERY_SECONDS), "linger.ms": linger_ms}
        self._producer = Producer({**settings, "delivery.report.only.error": True, "on_delivery": self._note})
        self._topic = topic
        self._failure: KafkaError | None = None

    def send(self, comment: Comment) -> None:
        """Send one comment; waits while the buffer is full."""
        while True:
            try:
                self._producer.produce(self._topic, to_json(comment), comment.comment_id)
                return
            except BufferError:
                self.poll(0.05)

    def poll(self, seconds: float) -> None:
        """Serve delivery reports for a while; raises an error for a failed delivery."""
        self._producer.poll(seconds)
        if self._failure is not None:
            raise RuntimeError(f"topic {self._topic}: {self._failure}")

    def close(self) -> None:
        """Wait for every acknowledgement."""
        left = self._producer.flush(_DELIVERY_SECONDS)
        self.poll(0)
        if left:
            raise RuntimeError(f"topic {self._topic}: {left} records were not acknowledged")

    def _note(self, error: KafkaError | None, message: Message) -> None:
        self._failure = self._failure or error


def _word(number: int) -> str:
    return "".join(_words(number))


def _words(number: int) -> Iterator[str]:
    while True:
        number, rest = divmod(number, len(_SYLLABLES))
        yield _SYLLABLES[rest]
        if number == 0:
            return
