"""Isolate records at which only the batch layer fails: halving finds them, they are reported, the others go on.

A record is reported with its position and the class of the error. The text of the error is never kept: it may quote the
comment. An error that no record causes (:mod:`moderation.adapters.error_origin`) is raised again, and so is one that a
control text causes as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from batch.progress import OnProgress
from moderation.adapters import error_origin
from moderation.adapters.bisection import culprits
from moderation.contracts import EARLIEST_EVENT_US, Comment, parse_record, to_json
from moderation.errors import InvalidRecord
from moderation.scoring import Kernel

MOST_NAMED = 1_000
"""So many records are named in a report; all of them are counted."""
_CONTROL = "A control text that every model can score."
_CONTROL_RECORD = to_json(Comment("control", "control", _CONTROL, EARLIEST_EVENT_US))
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """A record that the batch cannot parse or score.

    Attributes:
        topic_id: Kafka's id of the topic; empty where a reader of the lake does not know it.
        partition, offset: its position.
        error: name of the class of the error.
    """

    topic_id: str
    partition: int
    offset: int
    error: str

    def __str__(self) -> str:
        topic = f"topic {self.topic_id} " if self.topic_id else ""
        return f"{topic}partition {self.partition} offset {self.offset}: {self.error}"


def failure_fields(failures: Sequence[Failure]) -> dict[str, Any]:
    """Failures as JSON fields: ``count``, and the first ``MOST_NAMED`` as ``records`` in order of position."""
    return {"count": len(failures), "records": [asdict(each) for each in sorted(failures)[:MOST_NAMED]]}


def report_failures(failures: Iterable[Failure], on_progress: OnProgress) -> None:
    """Name failures in the log and to whoever watches the run."""
    for number, each in enumerate(failures):
        _log.error("%s; the other records go on", each)
        if number < MOST_NAMED:
            on_progress(f"cannot be recomputed: {each}")


def parse_failure(error: Exception, append_us: int) -> str:
    """The class of an error that parsing one record raised.

    Args:
        error: anything but ``InvalidRecord``, which says that the record is no comment.
        append_us: append time of the record, microseconds since the epoch.

    Raises:
        Exception: the error again if it is not the record's; what the control record raises if parsing is broken.
    """
    if not error_origin.is_records(error):
        raise error
    with suppress(InvalidRecord):  # whatever the clock: parsing works
        parse_record(_CONTROL_RECORD, append_us)
    return error_origin.name_of(error)


def failing_texts(texts: Sequence[str], attempt: Callable[[Sequence[str]], object], error: Exception) -> dict[int, str]:
    """Find the texts for which a step fails, each alone.

    Args:
        texts: what the step failed for together.
        attempt: the step; it changes nothing.
        error: what it raised.

    Returns:
        By index of the text the class of the error; at least one.

    Raises:
        Exception: the error again if it is not a record's or no single text causes it; what the step raises for a
            control text if it is broken for every text.
    """
    if not error_origin.is_records(error):
        raise error
    found = culprits(range(len(texts)), lambda part: attempt([texts[index] for index in part]))
    if not found:
        raise error
    attempt([_CONTROL])
    return {index: error_origin.name_of(cause) for index, cause in found}


def score_each(kernel: Kernel, texts: Sequence[str]) -> tuple[NDArray[Any], dict[int, str]]:
    """Score texts; a text that makes the kernel fail does not keep the others from their scores.

    Args:
        kernel: of the model.
        texts: comments' bodies.

    Returns:
        Scores in parts per million, shape (texts,), and by index of the failing texts the class of the error. The
        score of a failing text means nothing.

    Raises:
        Exception: see :func:`failing_texts`.
    """
    try:
        return kernel.score_many(texts), {}
    except Exception as error:
        failed = failing_texts(texts, kernel.score_many, error)
    return kernel.score_many(["" if index in failed else text for index, text in enumerate(texts)]), failed
