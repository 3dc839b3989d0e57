"""Every origin as one stream of arrivals, in order of arrival, the same each time it is read."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import orjson

from moderation.contracts import parse_action, to_json
from moderation.contracts.records import MAX_ID_CHARACTERS
from moderation.datasets.history import BadRow
from moderation.datasets.recorded import ACTIONS, ARRIVALS, COMMENTS
from moderation.datasets.rscience import read_rscience
from moderation.datasets.synthetic import Arrival, generate
from moderation.errors import InvalidRecord, SourceError
from stream.source.external_sort import by_arrival
from stream.source.plan import Anchor, CsvExport, Generated, History, Origin, SendPlan


def arrivals_of(plan: SendPlan, on_bad_row: Callable[[BadRow], None]) -> Iterator[Arrival]:
    """What a plan sends, unshifted.

    An export's comments arrive at their event time and its removals at their action time. A history's comments arrive
    as recorded; its actions, whose arrivals are not recorded, at their action time, never before the action ahead of
    them in the file. The generator gives its own times.

    Args:
        plan: which origin, with or without actions, which part of it.
        on_bad_row: told of rows of an export that are no comment.

    Raises:
        SourceError: the origin cannot be read.
    """
    arrivals = _of_origin(plan.origin, on_bad_row)
    if not plan.actions:
        arrivals = (arrival for arrival in arrivals if arrival.topic == "comments")
    return islice(arrivals, plan.skip, None if plan.limit is None else plan.skip + plan.limit)


def anchor_us(plan: SendPlan) -> int | None:
    """The recorded time of the arrival that a shift puts at its instant, microseconds; None if nothing arrives.

    The last ones are known only when everything has been read or generated once.

    Raises:
        SourceError: the origin cannot be read.
    """
    arrivals = arrivals_of(plan, lambda bad: None)
    match plan.shift_anchor:
        case Anchor.FIRST:
            return next((arrival.arrival_us for arrival in arrivals), None)
        case Anchor.LAST_COMMENT:
            return max((arrival.arrival_us for arrival in arrivals if arrival.topic == "comments"), default=None)
        case Anchor.LAST:
            return max((arrival.arrival_us for arrival in arrivals), default=None)


def _of_origin(origin: Origin, on_bad_row: Callable[[BadRow], None]) -> Iterator[Arrival]:
    match origin:
        case CsvExport(path):
            return by_arrival(_of_export(path, on_bad_row))
        case History(folder):
            # Both are sorted; at one instant the comment goes first.
            comments, actions = _comments_of_history(folder), _actions_of_history(folder)
            return heapq.merge(comments, actions, key=lambda arrival: arrival.arrival_us)
        case Generated(config):
            return generate(config)


def _of_export(path: Path, on_bad_row: Callable[[BadRow], None]) -> Iterator[Arrival]:
    for row in read_rscience(path, on_bad_row):
        comment, action = row.comment, row.action
        yield Arrival(comment.event_time_us, "comments", comment.comment_id, to_json(comment), None, row.removed)
        if action is not None:
            yield Arrival(action.action_time_us, "actions", action.comment_id, to_json(action), None, None)


def _comments_of_history(folder: Path) -> Iterator[Arrival]:
    arrival_us = 0
    try:
        with (folder / COMMENTS).open("rb") as comments, (folder / ARRIVALS).open("rb") as notes:
            for line, note in zip(comments, notes, strict=True):
                value = line.removesuffix(b"\n")
                arrival_us = max(arrival_us, int(orjson.loads(note)["arrival_us"]))
                yield Arrival(arrival_us, "comments", key_of(value), value, None, None)
    except OSError as error:
        raise unreadable_origin(folder, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            str(folder / ARRIVALS), f"it does not belong to {COMMENTS} ({error})", "Generate the history again."
        ) from error


def _actions_of_history(folder: Path) -> Iterator[Arrival]:
    arrival_us = 0
    try:
        with (folder / ACTIONS).open("rb") as lines:
            for line in lines:
                value = line.removesuffix(b"\n")
                with suppress(InvalidRecord):  # a broken one arrives with the action before it
                    arrival_us = max(arrival_us, parse_action(value).action_time_us)
                yield Arrival(arrival_us, "actions", key_of(value), value, None, None)
    except OSError as error:
        raise unreadable_origin(folder, error) from error


def key_of(value: bytes) -> str:
    """The ``comment_id`` a value names; for one that names none, a key made from its digest, so that it keeps it."""
    try:
        comment_id = orjson.loads(value)["comment_id"]
    except (ValueError, KeyError, TypeError, IndexError):
        comment_id = None
    if isinstance(comment_id, str) and 1 <= len(comment_id) <= MAX_ID_CHARACTERS:
        return comment_id
    return f"unreadable-{hashlib.sha256(value).hexdigest()[:16]}"


def unreadable_origin(path: Path, error: OSError) -> SourceError:
    """The error for an origin that the file system does not give."""
    return SourceError(str(path), f"{error.strerror}: {error.filename}", "Name a CSV export or a folder of `generate`.")
