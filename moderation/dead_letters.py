"""Replay dead letters that can be parsed as comments now. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from moderation.contracts import DeadLetter, RecordPosition, parse_record
from moderation.errors import InvalidRecord


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter and its position.

    Attributes:
        topic_id: Kafka's id of its topic; the topic may have been re-created since.
        partition: partition of the record.
        offset: offset of the record.
        letter: the dead letter as the ledger stores it.
        replayed_as: partition and offset of the decision on its replay; None while it is open.
    """

    topic_id: UUID
    partition: int
    offset: int
    letter: DeadLetter
    replayed_as: tuple[int, int] | None

    @property
    def position(self) -> RecordPosition:
        """The position that a replay names in its header."""
        return RecordPosition(self.topic_id, self.partition, self.offset)


Send = Callable[[bytes, bytes, StoredLetter], None]


@dataclass(slots=True)
class ReplaySummary:
    """Counts of a replay.

    Attributes:
        replayed: letters that were sent.
        already: letters that were skipped because their replay was decided before.
        still_refused: letters that still cannot be parsed, by reason.
        gone: letters that are longer than the ledger stores and that neither topic nor lake has.
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
) -> ReplaySummary:
    """Send the letters that can be parsed as comments.

    Args:
        letters: the selection.
        original: returns the bytes of a record; None if they are gone.
        send: called with key, value and letter.
        now_us: returns the append time of a replay; the time of a future-dated record may have passed.
        again: also send letters whose replay was decided.
    """
    summary = ReplaySummary()
    for letter in letters:
        if letter.replayed_as is not None and not again:
            summary.already += 1
            continue
        value = original(letter)
        if value is None:
            summary.gone.append(letter)
            continue
        try:
            comment = parse_record(value, now_us())
        except InvalidRecord as error:
            summary.still_refused[str(error.reason)] += 1
            continue
        send(comment.comment_id.encode(), value, letter)
        summary.replayed += 1
    return summary
