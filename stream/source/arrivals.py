"""Read every origin as one stream of arrivals in order of arrival; each read gives the same stream."""

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
from moderation.datasets.importer import plain_import
from moderation.datasets.recorded import ACTIONS, ARRIVALS, COMMENTS
from moderation.datasets.synthetic import Arrival, generate
from moderation.errors import DatasetError, InvalidRecord
from stream.source.external_sort import by_arrival
from stream.source.plan import Anchor, CsvExport, Generated, History, Origin, SendPlan


def arrivals_of(plan: SendPlan, on_bad_row: Callable[[BadRow], None]) -> Iterator[Arrival]:
    """Yield the arrivals of a plan, with unshifted times.

    An export's comments arrive at their event time and its removals at their action time. A history's comments arrive
    as recorded; its actions, whose arrivals are not recorded, arrive at their action time, but never before the
    previous action in the file. The generator sets its own times.

    Args:
        plan: origin, part of it, with or without actions.
        on_bad_row: called with rows of an export that are left out, at its end.

    Raises:
        DatasetError: the origin cannot be read.
    """
    arrivals = _of_origin(plan.origin, on_bad_row)
    if not plan.actions:
        arrivals = (arrival for arrival in arrivals if arrival.topic == "comments")
    return islice(arrivals, plan.skip, None if plan.limit is None else plan.skip + plan.limit)


def anchor_us(plan: SendPlan) -> int | None:
    """Return the recorded time of the anchor of a shift, microseconds; None if there are no arrivals.

    Anchors at the end need one complete read of the origin.

    Raises:
        DatasetError: the origin cannot be read.
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
        case CsvExport(path, author_key):
            return by_arrival(_of_export(path, author_key, on_bad_row))
        case History(folder):
            # Both are sorted; at the same instant the comment comes first.
            comments, actions = _comments_of_history(folder), _actions_of_history(folder)
            return heapq.merge(comments, actions, key=lambda arrival: arrival.arrival_us)
        case Generated(config):
            return generate(config)


def _of_export(path: Path, author_key: bytes, on_bad_row: Callable[[BadRow], None]) -> Iterator[Arrival]:
    try:
        imported = plain_import(path, needs_labels=False, author_key=author_key)
    except DatasetError as error:
        if "--" not in error.remedy:
            raise  # nothing that could be stated helps
        remedy = (
            f"Run `moderation import {path} --out FOLDER` and state there what it asks for, then use --history FOLDER."
        )
        raise DatasetError(error.thing, error.cause, remedy) from error
    for row in imported.comments():
        comment, action = row.comment, row.action
        yield Arrival(comment.event_time_us, "comments", comment.comment_id, to_json(comment), None, row.removed)
        if action is not None:
            yield Arrival(action.action_time_us, "actions", action.comment_id, to_json(action), None, None)
    for bad in imported.bad_rows:
        on_bad_row(bad)


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
        raise DatasetError(
            str(folder / ARRIVALS), f"the file does not match {COMMENTS} ({error})", "Generate the history again."
        ) from error


def _actions_of_history(folder: Path) -> Iterator[Arrival]:
    arrival_us = 0
    try:
        with (folder / ACTIONS).open("rb") as lines:
            for line in lines:
                value = line.removesuffix(b"\n")
                with suppress(InvalidRecord):  # an unreadable action arrives with the previous one
                    arrival_us = max(arrival_us, parse_action(value).action_time_us)
                yield Arrival(arrival_us, "actions", key_of(value), value, None, None)
    except OSError as error:
        raise unreadable_origin(folder, error) from error


def key_of(value: bytes) -> str:
    """Return the ``comment_id`` of a value, or a key from its digest if it has none; the key is stable."""
    try:
        comment_id = orjson.loads(value)["comment_id"]
    except (ValueError, KeyError, TypeError, IndexError):
        comment_id = None
    if isinstance(comment_id, str) and 1 <= len(comment_id) <= MAX_ID_CHARACTERS:
        return comment_id
    return f"unreadable-{hashlib.sha256(value).hexdigest()[:16]}"


def unreadable_origin(path: Path, error: OSError) -> DatasetError:
    """Return the error for an origin that cannot be read."""
    return DatasetError(
        str(path), f"{error.strerror}: {error.filename}", "Name a CSV export or a folder of `generate`."
    )
