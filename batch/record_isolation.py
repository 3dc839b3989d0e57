"""Isolate records at which only the batch layer fails: find them by bisection, report them, process the others.

A report contains the position of the record and the class of the error. It never contains the message of the error,
which may quote the comment. An error is raised again if no record causes it
(:mod:`moderation.adapters.error_origin`), or if a control text causes it too.
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
from moderation.adapters.bisection import find_failing_items
from moderation.contracts import EARLIEST_EVENT_US, Comment, parse_record, to_json
from moderation.errors import InvalidRecord
from moderation.scoring import Kernel, decision_reasons

MOST_NAMED = 1_000
"""Maximum number of records that a report names; it counts all of them."""
_CONTROL = "A control text that every model can score."
_CONTROL_RECORD = to_json(Comment("control", "control", _CONTROL, EARLIEST_EVENT_US))
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """A record that the batch layer cannot parse or score.

    Attributes:
        topic_id: Kafka's id of the topic; empty if the reader of the lake does not know it.
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
    """Return failures as JSON fields: ``count``, and the first ``MOST_NAMED`` as ``records`` in order of position."""
    return {"count": len(failures), "records": [asdict(each) for each in sorted(failures)[:MOST_NAMED]]}


def report_failures(failures: Iterable[Failure], on_progress: OnProgress) -> None:
    """Report failures to the log and to the progress callback."""
    for number, each in enumerate(failures):
        _log.error("%s; the other records are processed", each)
        if number < MOST_NAMED:
            on_progress(f"cannot be recomputed: {each}")


def parse_failure(error: Exception, append_us: int) -> str:
    """Return the class of an error that parsing one record raised.

    Args:
        error: any error except ``InvalidRecord``, which means that the record is not a comment.
        append_us: append time of the record, microseconds since the epoch.

    Raises:
        Exception: the same error if the record does not cause it; the error of the control record if parsing is broken.
    """
    if not error_origin.is_caused_by_record(error):
        raise error
    with suppress(InvalidRecord):  # the control record may be refused for its time; parsing works nevertheless
        parse_record(_CONTROL_RECORD, append_us)
    return error_origin.class_name(error)


def failing_texts(texts: Sequence[str], attempt: Callable[[Sequence[str]], object], error: Exception) -> dict[int, str]:
    """Find the texts for which a step fails, each alone.

    Args:
        texts: those for which the step failed together.
        attempt: the step; it changes nothing.
        error: the error it raised.

    Returns:
        The class of the error by index of the text; at least one entry.

    Raises:
        Exception: the same error if no record or no single text causes it; the error for a control text if the step
            fails for every text.
    """
    if not error_origin.is_caused_by_record(error):
        raise error
    failing = find_failing_items(range(len(texts)), lambda part: attempt([texts[index] for index in part]))
    if not failing:
        raise error
    attempt([_CONTROL])
    return {index: error_origin.class_name(cause) for index, cause in failing}


def score_each(kernel: Kernel, texts: Sequence[str]) -> tuple[NDArray[Any], dict[int, str]]:
    """Score texts, also if some of them make the kernel fail.

    Args:
        kernel: of the model.
        texts: bodies of comments.

    Returns:
        Scores in parts per million, shape (texts,), and the class of the error by index of the failing texts. The
        score of a failing text has no meaning.

    Raises:
        Exception: see :func:`failing_texts`.
    """
    try:
        return kernel.score_many(texts), {}
    except Exception as error:
        failed = failing_texts(texts, kernel.score_many, error)
    return kernel.score_many(["" if index in failed else text for index, text in enumerate(texts)]), failed


def reasons_each(kernel: Kernel, texts: Sequence[str]) -> tuple[list[list[str]], dict[int, str]]:
    """Compute the reasons of decisions on texts, also if some of them make the kernel fail.

    Args:
        kernel: of the model.
        texts: bodies of comments.

    Returns:
        The reasons of each text, and the class of the error by index of the failing texts, whose reasons are empty.

    Raises:
        Exception: see :func:`failing_texts`.
    """
    try:
        return decision_reasons(kernel, texts), {}
    except Exception as error:
        failed = failing_texts(texts, lambda part: decision_reasons(kernel, part), error)
    reasons = iter(decision_reasons(kernel, [text for index, text in enumerate(texts) if index not in failed]))
    return [[] if index in failed else next(reasons) for index in range(len(texts))], failed
