"""Replays of dead letters: which of them can be comments now. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from moderation.contracts import DeadLetter, RecordPosition, parse_record
from moderation.errors import InvalidRecord


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter and its place.

    Attributes:
        topic_id: Kafka's id of the topic it came from; the topic may have been made anew since.
        partition: its partition.
        offset: its place there.
        letter: what the ledger keeps of it.
        replayed_as: partition and offset of the decision on its replay; None while it is open.
    """

    topic_id: UUID
    partition: int
    offset: int
    letter: DeadLetter
    replayed_as: tuple[int, int] | None

    @property
    def position(self) -> RecordPosition:
        """Its position, which a replay names in its header."""
        return RecordPosition(self.topic_id, self.partition, self.offset)


Send = Callable[[bytes, bytes, StoredLetter], None]


@dataclass(slots=True)
class ReplaySummary:
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
) -> ReplaySummary:
    """Send what can be a comment.

    Args:
        letters: what was chosen.
        original: gives the bytes to send; None when they are gone.
        send: takes key, value and letter.
        now_us: the time a replay would be appended at: a future-dated record may be past by now.
        again: send those too whose replay was decided.
    """
    outcome = ReplaySummary()
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
