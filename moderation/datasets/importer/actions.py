"""Labels from a file of moderators' actions beside the comments: the last action within the label window decides.

The rule is that of the lake (:mod:`batch.labelled_examples`). An action belongs to the text of a comment that was
current when it was taken. Without an action in the window the comment counts as kept. A comment has no mature label if
its window ends after the last action of the file, if it was edited within the window before any action, or if its
window ends before the first action.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moderation.datasets.importer.cells import read_cells
from moderation.datasets.importer.columns import checked_time, column_position
from moderation.datasets.importer.csv_rows import Unreadable
from moderation.datasets.importer.ids import LostDigits, bare_id, id_of
from moderation.datasets.importer.inputs import Input
from moderation.datasets.importer.labels import KEPT_WORDS, REMOVED_WORDS, word
from moderation.datasets.importer.mapping import ALIASES, ColumnMapping, column_parts, normal, quoted, time_rule
from moderation.datasets.importer.plan import FilePlan
from moderation.datasets.importer.sniff import Layout, sniff
from moderation.datasets.importer.times import NoTime, time_us
from moderation.errors import ConfigurationError, DatasetError
from moderation.timestamps import HOUR_US

OPTION = "--action-columns"
DEFAULT_WINDOW_HOURS = 48.0
"""Label window, as `retrain_model` uses it."""
MOST_UNREADABLE = 0.01
ACTION_ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("comment_id", "target_fullname", "target_id", "commentid", "target", "item_id", "id"),
    "action": ("kind", "action", "action_type", "decision", "removed", "status"),
    "time": ("action_time_us", "action_time", "acted_at", *ALIASES["time"]),
}
"""Names of columns by role, the preferred first."""
REMOVE_WORDS = frozenset((*REMOVED_WORDS, *"removecomment spamcomment delete hide removal".split()))
APPROVE_WORDS = frozenset((*KEPT_WORDS, *"approvecomment restore restored unremove unhide allow accept keep".split()))
_EXAMPLE = f"Write for example {OPTION} 'id=target,action=kind,time=at:s,remove=gone|hidden,approve=live'."
_SHOWN_KINDS = 5


@dataclass(frozen=True, slots=True)
class StatedActions:
    """What the user states about the file of actions.

    Attributes:
        columns: column by role (``id``, ``action``, ``time``), and words that mean removed or approved (``remove``,
            ``approve``), separated by ``|``.
        window_hours: how long after a comment an action on it counts.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    window_hours: float = DEFAULT_WINDOW_HOURS


@dataclass(frozen=True, slots=True)
class Labelled:
    """The label of a comment, with the time of the deciding action; None if there was none.

    Attributes:
        removed: whether the last action within the window removed it.
        action_time_us: time of that action.
    """

    removed: bool
    action_time_us: int | None


class Immature(Exception):
    """A comment has no mature label; the text says why."""


@dataclass(slots=True)
class RecordedActions:
    """Actions of a file.

    Attributes:
        name: name of the file.
        columns: the columns that are used, as ``--action-columns`` accepts them.
        window_us: how long after a comment an action on it counts.
        by_comment: for each comment, times and whether each action removed it; in order of time.
        rows: rows of the file.
        other_kinds: actions that neither remove nor approve, by kind.
        unreadable: rows without an id or a time that can be read.
        first_us, last_us: times of the first and the last action of any kind.
        edits: for comments with several texts, the times of their texts in order; see :meth:`note_text`.
    """

    name: str
    columns: dict[str, str]
    window_us: int
    by_comment: dict[str, list[tuple[int, bool]]] = field(default_factory=dict, repr=False)
    rows: int = 0
    other_kinds: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    first_us: int = 0
    last_us: int = 0
    edits: dict[str, list[int]] = field(default_factory=dict, repr=False)
    _texts: dict[str, int] = field(default_factory=dict, repr=False)
    _matched: int = 0

    def label(self, comment_id: str, event_time_us: int) -> Labelled:
        """Return the label of a text.

        Args:
            comment_id: id of the comment, as in its file.
            event_time_us: event time of the text, in microseconds.

        Raises:
            Immature: the actions do not decide.
        """
        comment_id = bare_id(comment_id)
        if not comment_id:
            raise Immature("it has no id that an action could name")
        end_us = event_time_us + self.window_us
        edited_us = self._edited_us(comment_id, event_time_us)
        actions = self.by_comment.get(comment_id, ())
        in_window = [
            (time, removed)
            for time, removed in actions
            if event_time_us <= time <= end_us and (edited_us is None or time < edited_us)
        ]
        if end_us > self.last_us:
            raise Immature("its label window ends after the last action")
        if in_window:
            time, removed = in_window[-1]
            return Labelled(removed, time)
        if end_us < self.first_us:
            raise Immature("its label window ends before the first action")
        if edited_us is not None and edited_us <= end_us:
            raise Immature("it was edited before an action")
        return Labelled(False, None)

    def note_text(self, comment_id: str, event_time_us: int) -> None:
        """Take note of a text of a comment, before labels are asked for: a later text ends the time of an earlier."""
        comment_id = bare_id(comment_id)
        self._matched += comment_id in self.by_comment
        first = self._texts.setdefault(comment_id, event_time_us)
        if first != event_time_us or comment_id in self.edits:
            times = self.edits.setdefault(comment_id, [first])
            at = bisect_left(times, event_time_us)
            if at == len(times) or times[at] != event_time_us:
                times.insert(at, event_time_us)

    def end_of_texts(self) -> None:
        """Forget what only :meth:`note_text` needs.

        Raises:
            DatasetError: no action names a comment that was noted, or most of those that do precede it.
        """
        example = next(iter(self._texts), "none")
        firsts = {each: min((first, *self.edits.get(each, ()))) for each, first in self._texts.items()}
        after_us = [
            time - firsts[each] for each, actions in self.by_comment.items() if each in firsts for time, _ in actions
        ]
        self._texts.clear()
        self._check_order(after_us)
        if not self._matched:
            named = next(iter(self.by_comment))
            raise DatasetError(
                self.name,
                f"none of its actions names a comment of the files (it names {named!r}, they have {example!r})",
                f"State the columns with the ids: {OPTION} id=COLUMN and --columns id=COLUMN.",
            )

    def _check_order(self, after_us: Sequence[int]) -> None:
        early = [each for each in after_us if each < 0]
        if len(early) > len(after_us) / 2:
            hours = -sorted(early)[len(early) // 2] / HOUR_US
            raise DatasetError(
                self.name,
                f"{len(early):,} of {len(after_us):,} actions precede their comments, the median by {hours:.1f} hours",
                "Export the times of comments and actions in one zone, or with their zones.",
            )

    def summary(self) -> str:
        """Return one line: how the file is understood."""
        used = sum(map(len, self.by_comment.values()))
        removals = sum(removed for actions in self.by_comment.values() for _, removed in actions)
        stated = ",".join(f"{role}={quoted(column)}" for role, column in self.columns.items())
        text = (
            f"{self.name}: {self.rows:,} rows, {used:,} actions: {removals:,} remove, {used - removals:,} approve; "
            f"columns {stated}; label window {self.window_us / HOUR_US:g} hours"
        )
        if self.other_kinds:
            most = ", ".join(f"{kind} ({count:,})" for kind, count in self.other_kinds.most_common(_SHOWN_KINDS))
            text += f"; {self.other_kinds.total():,} of other kinds are not used: {most}"
        return text

    def mapping(self) -> dict[str, Any]:
        """Return columns and label window as JSON fields, for ``--mapping``."""
        return {"columns": self.columns, "window_hours": self.window_us / HOUR_US}

    def fields(self) -> dict[str, Any]:
        """Return mapping and counts as JSON fields, for the model card."""
        return {
            **self.mapping(),
            "rows": self.rows,
            "used": sum(map(len, self.by_comment.values())),
            "other_kinds": self.other_kinds.total(),
            "unreadable": self.unreadable,
        }

    def _edited_us(self, comment_id: str, event_time_us: int) -> int | None:
        times = self.edits.get(comment_id)
        if times is None:
            return None
        after = [time for time in times if time > event_time_us]
        return after[0] if after else None


def parse_action_columns(texts: Sequence[str]) -> dict[str, str]:
    """Parse values of ``--action-columns`` into roles with their columns or words.

    Raises:
        ConfigurationError: a role is unknown, is given twice, or has no value that can be read; or a word has both
            meanings.
    """
    roles = (*ACTION_ALIASES, "remove", "approve")
    stated: dict[str, str] = {}
    for part in column_parts(texts, OPTION, _EXAMPLE):
        role, _, value = (piece.strip() for piece in part.partition("="))
        value = value.strip('"')
        if role not in roles or not value:
            cause = f"{part!r} does not begin with one of {', '.join(f'{each}=' for each in roles)}"
            raise ConfigurationError(OPTION, cause, _EXAMPLE)
        if role in stated:
            raise ConfigurationError(OPTION, f"{role} is given twice", _EXAMPLE)
        stated[role] = value
    if "time" in stated:
        try:
            time_rule(stated["time"])
        except ValueError as error:
            raise ConfigurationError(OPTION, str(error), _EXAMPLE) from error
    if both := sorted(_words(stated, "remove") & _words(stated, "approve")):
        raise ConfigurationError(OPTION, f"{both[0]!r} is a word of remove and of approve", _EXAMPLE)
    return stated


def read_actions(
    file: Input,
    stated: StatedActions,
    on_progress: Callable[[str], None] = lambda step: None,
    accepted: Collection[str] = (),
) -> RecordedActions:
    """Read a file of actions of any kind that comments can have. Memory grows with its rows.

    Args:
        file: the file.
        stated: what the user states about it.
        on_progress: called with a line of text from time to time.
        accepted: values of ``--accept``.

    Raises:
        DatasetError: the file cannot be read, its columns are not clear, it has no action that removes or approves, or
            more than 1 % of its rows cannot be read and this is not accepted.
    """
    if file.is_history:
        raise DatasetError(file.name, "it is a folder of `moderation generate`", "Name its actions.jsonl.")
    plan = _plan(file, stated)
    columns = {role: column for role, column in stated.columns.items() if role in ("remove", "approve")}
    recorded = RecordedActions(file.name, plan.mapping_text | columns, round(stated.window_hours * HOUR_US))
    remove, approve = _words(stated.columns, "remove"), _words(stated.columns, "approve")
    removing, approving = (REMOVE_WORDS | remove) - approve, (APPROVE_WORDS | approve) - remove
    times = []
    rule = plan.file.mapping.time.rule if plan.file.mapping.time else None
    for cells in read_cells(plan.file, lambda count: None):
        recorded.rows += 1
        if recorded.rows % 10_000 == 0:
            on_progress(f"reading {file.name}: {recorded.rows:,} actions")
        if isinstance(cells, Unreadable):
            recorded.unreadable += 1
            continue
        given_id, kind, when = cells.values
        try:
            comment_id = bare_id(id_of(given_id))
            action_us = time_us(when, rule)
        except (NoTime, LostDigits):
            recorded.unreadable += 1
            continue
        text = word(kind)
        times.append(action_us)
        if text not in removing and text not in approving:
            recorded.other_kinds[text] += 1
        elif not comment_id:
            recorded.unreadable += 1
        else:
            recorded.by_comment.setdefault(comment_id, []).append((action_us, text in removing))
    _check(recorded, plan.names, accepted)
    for actions in recorded.by_comment.values():
        actions.sort(key=lambda each: each[0])  # of several at one time, the last of the file decides
    recorded.first_us, recorded.last_us = min(times), max(times)
    return recorded


@dataclass(frozen=True, slots=True)
class _ActionsPlan:
    file: FilePlan
    names: tuple[str, ...]
    mapping_text: dict[str, str]


def _plan(file: Input, stated: StatedActions) -> _ActionsPlan:
    layout = sniff(file, None, None, None, True, None)
    columns = {role: stated.columns.get(role) or _guessed(file, layout, role) for role in ACTION_ALIASES}
    rule = time_rule(columns["time"])
    positions = {
        "id": column_position(file.name, layout.names, "id", columns["id"], OPTION),
        "action": column_position(file.name, layout.names, "action", columns["action"], OPTION),
        "time": column_position(file.name, layout.names, "time", rule.column, OPTION),
    }
    if rule.rule is None and normal(rule.column).endswith("_us"):
        rule = time_rule(f"{rule.column}:us")
    rule = checked_time(file.name, layout, rule, positions, OPTION) or rule
    plan = FilePlan(file, layout, None, ColumnMapping(id=columns["id"], time=rule), positions, ())
    return _ActionsPlan(plan, layout.names, {**columns, "time": str(rule)})


def _guessed(file: Input, layout: Layout, role: str) -> str:
    by_name = {normal(name): name for name in reversed(layout.names)}
    for alias in ACTION_ALIASES[role]:
        if alias in by_name:
            return by_name[alias]
    meaning = {"id": "the id of the comment", "action": "what was done", "time": "the time of the action"}[role]
    raise DatasetError(
        file.name,
        f"no column is known to contain {meaning}; its columns are {', '.join(layout.names[:30])}",
        f"State it: {OPTION} {role}=COLUMN.",
    )


def _words(columns: Mapping[str, str], role: str) -> frozenset[str]:
    return frozenset(word(each) for each in columns.get(role, "").split("|") if each.strip())


def _check(recorded: RecordedActions, names: Sequence[str], accepted: Collection[str]) -> None:
    if recorded.unreadable > MOST_UNREADABLE * recorded.rows and "left-out" not in accepted:
        raise DatasetError(
            recorded.name,
            f"{recorded.unreadable:,} of {recorded.rows:,} rows have no id or no time that can be read",
            f"State the columns: {OPTION} id=COLUMN,time=COLUMN:s; its columns are {', '.join(names[:30])}. "
            "To continue without these rows, add --accept left-out.",
        )
    if not recorded.by_comment:
        kinds = ", ".join(repr(kind) for kind, _ in recorded.other_kinds.most_common(_SHOWN_KINDS)) or "none"
        raise DatasetError(
            recorded.name,
            f"none of its {recorded.rows:,} rows removes or approves a comment; kinds are {kinds}",
            f"State the words: {OPTION} 'action={recorded.columns['action']},remove=WORD|WORD,approve=WORD'.",
        )
