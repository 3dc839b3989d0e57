"""Turn cells into rows: text, label, time, ids; a row that cannot be used is left out with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from moderation.contracts import MAX_BODY_CHARACTERS, Action, ActionKind, Comment
from moderation.contracts.records import MAX_ID_CHARACTERS, UNKNOWN_COMMUNITY
from moderation.datasets.history import LabelledComment, Origin
from moderation.datasets.importer.actions import Immature
from moderation.datasets.importer.authors import pseudonym
from moderation.datasets.importer.cells import Cells, read_cells
from moderation.datasets.importer.csv_rows import Unreadable
from moderation.datasets.importer.ids import LostDigits, id_of, name_of, text_of
from moderation.datasets.importer.labels import UnknownLabel
from moderation.datasets.importer.mapping import label_role, normal
from moderation.datasets.importer.plan import FilePlan, ImportPlan
from moderation.datasets.importer.report import LeftOut, Reason, Repair
from moderation.datasets.importer.times import NoTime, time_us
from moderation.progress import Step

FIRST_TIME_US = 1_514_764_800_000_000  # 2018-01-01T00:00:00Z
ROW_STEP_US = 60 * 1_000_000
REMOVED_AFTER_US = 3_600 * 1_000_000
PROGRESS_ROWS = 10_000

_REMOVED_TEXT = re.compile(r"\s*\[\s*(?:removed|deleted)\b[^\[\]]{0,200}\]\s*", re.IGNORECASE)
_HALF_OR_NUL = re.compile("[\x00\ud800-\udfff]")
_NULL = "\\N"  # what MySQL and PostgreSQL write for NULL
_GONE_AUTHORS = frozenset(("[deleted]", "[removed]"))


@dataclass(slots=True)
class Row:
    """A row that can be used, if it is not repeated.

    Attributes:
        file: name of its file.
        line: line or row on which it begins, from 1.
        digest: 8 bytes over what makes it the same row: id, time and text, or what there is of author, community,
            time and text if there is no id.
        comment: the comment.
        label: whether it was removed; None if unknown.
        is_time_known: False if its time is made up.
        repair: what was changed to read it.
        given_id: id in the file; empty without one.
        action_time_us: time of the action that decides the label; None if no action does.
    """

    file: str
    line: int
    digest: int
    comment: Comment
    label: bool | None
    is_time_known: bool
    repair: Repair | None
    given_id: str = ""
    action_time_us: int | None = None

    def labelled(self) -> LabelledComment:
        """Return the comment with the deciding action; a removal without a time is dated an hour after the comment."""
        comment = self.comment
        action = None
        if self.label is not None and self.action_time_us is not None:
            action = Action(
                comment_id=comment.comment_id,
                kind=ActionKind.REMOVE if self.label else ActionKind.APPROVE,
                moderator_key="import",
                reason="recorded in the file of actions",
                action_time_us=self.action_time_us,
                inclusion_probability=1.0,
            )
        elif self.label:
            action = Action(
                comment_id=comment.comment_id,
                kind=ActionKind.REMOVE,
                moderator_key="r/science" if comment.comment_id.startswith("rscience-") else "import",
                reason="recorded in the export",
                action_time_us=comment.event_time_us + REMOVED_AFTER_US,
                inclusion_probability=1.0,
            )
        origin = Origin(self.file, self.line, self.repair)
        return LabelledComment(comment, action, self.is_time_known, origin, self.label is not None)


def read_rows(
    plan: ImportPlan,
    on_left_out: Callable[[LeftOut], None],
    on_progress: Callable[[str], None] = lambda step: None,
) -> Iterator[Row]:
    """Yield the rows that can be used, repeated ones among them, in the order of the files.

    Args:
        plan: how to read the files; not of a history folder.
        on_left_out: called with every row that cannot be used.
        on_progress: called with a line of text from time to time.

    Raises:
        DatasetError: a file is damaged or incomplete.
    """
    index = read_bytes = 0
    sizes = [file.input.content_bytes for file in plan.files]
    total_bytes = max(sum(sizes), 1)

    def count(more: int) -> None:
        nonlocal read_bytes
        read_bytes += more

    for number, file in enumerate(plan.files):
        read_bytes = sum(sizes[:number])
        interpret = _interpreter(plan, file)
        for cells in read_cells(file, count):
            if isinstance(cells, Unreadable):
                on_left_out(LeftOut(file.input.name, cells.line, Reason.UNREADABLE, cells.cause))
            else:
                row = interpret(cells, index)
                if isinstance(row, Row):
                    yield row
                else:
                    on_left_out(row)
            index += 1
            if index % PROGRESS_ROWS == 0:
                on_progress(Step(f"reading {file.input.name}: {index:,} rows", read_bytes / total_bytes))


def _interpreter(plan: ImportPlan, file: FilePlan) -> Callable[[Cells, int], Row | LeftOut]:
    """Return the function that turns the cells of a file's row, and the row's index, into a row."""
    order = {role: number for number, role in enumerate(file.positions)}
    body_at = order["body"]
    time_at, id_at = order.get("time"), order.get("id")
    community_at, author_at, parent_at = order.get("community"), order.get("author"), order.get("parent")
    label_rule, time_rule, actions = file.mapping.label, file.mapping.time, plan.actions
    label_at = [order[label_role(number)] for number in range(len(label_rule.rules))] if label_rule is not None else []
    name, default_community = file.input.name, file.community or plan.community or UNKNOWN_COMMUNITY
    needs_labels = plan.needs_labels
    author_secret = plan.stated.author_key
    author_column = file.layout.names[file.positions["author"]] if file.layout and author_at is not None else ""
    has_pseudonyms = normal(author_column) == "author_key"
    prefix = file.format.id_prefix if file.format is not None else None
    row_prefix = prefix or f"{name.rsplit('/', 1)[-1].split('.', 1)[0][:200] or 'row'}-"

    def interpret(cells: Cells, index: int) -> Row | LeftOut:
        line, values, repair = cells

        def left_out(reason: Reason, cause: str) -> LeftOut:
            return LeftOut(name, line, reason, cause)

        body = values[body_at]
        if not isinstance(body, str):
            if body is not None and not isinstance(body, int | float):
                return left_out(Reason.UNREADABLE, f"the text is a {type(body).__name__}")
            body = "" if body is None or body != body else str(body)
        if not body or body.isspace() or body == _NULL:
            return left_out(Reason.NO_TEXT, "the text is empty")
        if body.lstrip()[:1] == "[" and _REMOVED_TEXT.fullmatch(body):
            return left_out(Reason.TEXT_REMOVED, f"the text is {body.strip()[:40]}")
        if len(body) > MAX_BODY_CHARACTERS or _HALF_OR_NUL.search(body):
            body, repair = _repaired_text(body), repair or Repair.TEXT
        label = None
        if label_rule is not None:
            try:
                label = label_rule.of([values[at] for at in label_at])
            except UnknownLabel as error:
                if needs_labels:
                    return left_out(Reason.UNKNOWN_LABEL, str(error))
        if label is None and needs_labels and actions is None:
            return left_out(Reason.NO_LABEL, _cause_of_none([values[at] for at in label_at]))
        event_time_us = FIRST_TIME_US + index * ROW_STEP_US
        if time_at is not None and time_rule is not None:
            try:
                event_time_us = time_us(values[time_at], time_rule.rule)
            except NoTime as error:
                return left_out(Reason.NO_TIME, str(error))
        try:
            given_id = "" if id_at is None else id_of(values[id_at])
        except LostDigits as error:
            return left_out(Reason.LOST_ID, str(error))
        if len(given_id) > MAX_ID_CHARACTERS - 20:
            return left_out(Reason.UNREADABLE, f"the id is longer than {MAX_ID_CHARACTERS - 20} characters")
        action_time_us = None
        if actions is not None:
            try:
                labelled = actions.label(given_id, event_time_us)
                label, action_time_us = labelled.removed, labelled.action_time_us
            except Immature as error:
                if needs_labels:
                    return left_out(Reason.IMMATURE, str(error))
        author = "" if author_at is None else name_of(values[author_at])
        community = "" if community_at is None else text_of(values[community_at])
        parent = "" if parent_at is None else name_of(values[parent_at])
        if author.casefold() in _GONE_AUTHORS:
            author = ""
        author_key = author if has_pseudonyms or not author else pseudonym(author, author_secret)
        time_key = event_time_us if time_at is not None else ""
        key = f"{given_id}\0{time_key}\0{body}" if given_id else f"\0{author}\0{community}\0{time_key}\0{body}"
        comment = Comment(
            comment_id=f"{prefix or ''}{given_id}" if given_id else f"{row_prefix}{index}",
            community=community[:MAX_ID_CHARACTERS] or default_community,
            body=body,
            event_time_us=event_time_us,
            author_key=author_key[:MAX_ID_CHARACTERS] or None,
            parent_id=parent[:MAX_ID_CHARACTERS] or None,
        )
        digest = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little")
        is_time_known = time_at is not None
        return Row(name, line, digest, comment, label, is_time_known, repair, given_id, action_time_us)

    return interpret


def _cause_of_none(labels: list[Any]) -> str:
    text = text_of(labels[0]) if len(labels) == 1 else ""
    return f"the label {text[:40]!r} stands for none" if text else "the label is empty"


def _repaired_text(body: str) -> str:
    return _HALF_OR_NUL.sub("\ufffd", body[:MAX_BODY_CHARACTERS])
