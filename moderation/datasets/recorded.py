"""Write and read recorded histories: folders of JSON lines, as ``moderation generate`` writes them.

comments.jsonl   values of topic comments in order of arrival, broken ones included
arrivals.jsonl   for each line of comments.jsonl: {"arrival_us": …, "injected": … or null}, and "unlabelled": true if
                 nothing says whether the comment was removed or kept
actions.jsonl    values of topic actions in order of arrival
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import orjson

from moderation.contracts import parse_action, parse_record
from moderation.datasets.history import BadRow, LabelledComment, Origin
from moderation.datasets.history_index import history_index
from moderation.datasets.synthetic import Arrival
from moderation.errors import DatasetError, InvalidRecord

COMMENTS, ARRIVALS, ACTIONS = "comments.jsonl", "arrivals.jsonl", "actions.jsonl"


@dataclass(frozen=True, slots=True)
class HistoryCounts:
    """Numbers of records of a history, and of injected comments by kind."""

    comments: int
    actions: int
    injected: dict[str, int]


def write_history(folder: Path, arrivals: Iterable[Arrival], on_progress: Callable[[int], None]) -> HistoryCounts:
    """Write a history folder.

    Args:
        folder: created if absent; a history in it is replaced.
        arrivals: records in order of arrival. A line break, which only broken values contain, is written as a space,
            so that each line is a record.
        on_progress: called with the number of written records, from time to time.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"comments": 0, "actions": 0}
    injected: dict[str, int] = {}
    with (
        (folder / COMMENTS).open("wb") as comments,
        (folder / ARRIVALS).open("wb") as notes,
        (folder / ACTIONS).open("wb") as actions,
    ):
        for number, arrival in enumerate(arrivals, start=1):
            counts[arrival.topic] += 1
            line = arrival.value.replace(b"\n", b" ") + b"\n"
            if arrival.topic == "actions":
                actions.write(line)
            else:
                comments.write(line)
                note = {"arrival_us": arrival.arrival_us, "injected": arrival.injected}
                is_unlabelled = arrival.injected is None and arrival.label is None
                notes.write(orjson.dumps(note | {"unlabelled": True} if is_unlabelled else note) + b"\n")
                if arrival.injected is not None:
                    injected[arrival.injected.value] = injected.get(arrival.injected.value, 0) + 1
            if number % 10_000 == 0:
                on_progress(number)
    return HistoryCounts(counts["comments"], counts["actions"], dict(sorted(injected.items())))


def read_history(folder: Path, on_bad_row: Callable[[BadRow], None]) -> Iterator[LabelledComment]:
    """Read a history folder as labelled comments, in memory that does not grow with it.

    The label of a comment is its last action. Repeated records are left out; an edit is a record of its own.

    Args:
        folder: written by :func:`write_history`.
        on_bad_row: called with every line that is not a comment or action.

    Raises:
        DatasetError: a file is missing, arrivals and comments do not match, or temporary files cannot be written.
    """
    try:
        with (
            history_index() as index,
            (folder / COMMENTS).open("rb") as comments,
            (folder / ARRIVALS).open("rb") as notes,
        ):
            index.add_actions(_actions(folder / ACTIONS, on_bad_row))
            for line, (value, text) in enumerate(zip_longest(comments, notes), start=1):
                if value is None or text is None:
                    raise ValueError(f"one of them has only {line - 1:,} lines")
                note = orjson.loads(text)
                try:
                    comment = parse_record(value.removesuffix(b"\n"), note["arrival_us"])
                except InvalidRecord as error:
                    on_bad_row(BadRow(line, error.cause))
                    continue
                if index.is_new(comment.record_id()):
                    action = index.last_action(comment.comment_id)
                    yield LabelledComment(
                        comment,
                        None if action is None else parse_action(action),
                        origin=Origin(COMMENTS, line),
                        has_label="unlabelled" not in note,
                    )
    except OSError as error:
        raise DatasetError(
            str(folder), f"{error.strerror}: {error.filename}", "Name a folder of `moderation generate`."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            str(folder / ARRIVALS),
            f"it does not belong to {COMMENTS} ({error})",
            "Generate or import the history again.",
        ) from error


def _actions(path: Path, on_bad_row: Callable[[BadRow], None]) -> Iterator[tuple[str, int, bytes]]:
    with path.open("rb") as lines:
        for line, value in enumerate(lines, start=1):
            try:
                action = parse_action(value)
            except InvalidRecord as error:
                on_bad_row(BadRow(line, error.cause))
            else:
                yield action.comment_id, action.action_time_us, value
