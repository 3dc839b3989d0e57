"""Read all rows once: count what is used and what is left out, and find rows that occur more than once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moderation.datasets.importer.actions import RecordedActions
from moderation.datasets.importer.plan import ImportPlan
from moderation.datasets.importer.report import SHOWN_ROWS, ImportReport, LeftOut, Reason, ShownRow
from moderation.datasets.importer.rows import Row, read_rows

_LABEL_CODES: dict[bool | None, int] = {None: 0, False: 1, True: 2}


@dataclass(frozen=True, slots=True)
class Repeats:
    """Digests of rows that occur more than once.

    Attributes:
        same: with one label, of which the first row is used.
        contradictory: with both labels, of which no row is used.
    """

    same: frozenset[int]
    contradictory: frozenset[int]


def survey(plan: ImportPlan, on_progress: Callable[[str], None] = lambda step: None) -> tuple[ImportReport, Repeats]:
    """Read all rows once; with actions twice, first to find edits. Memory grows by 9 bytes a row.

    Args:
        plan: how to read the files; not of a history folder.
        on_progress: called with a line of text from time to time.

    Raises:
        DatasetError: a file is damaged or incomplete.
    """
    if plan.actions is not None:
        _note_texts(plan, plan.actions, on_progress)
    report = ImportReport()
    digests, labels = array("Q"), array("b")

    def leave_out(row: LeftOut) -> None:
        report.rows += 1
        report.leave_out(row)
        if row.reason is Reason.UNKNOWN_LABEL and len(report.label_values) < 1_000:
            report.label_values[row.cause] += 1

    for row in read_rows(plan, leave_out, on_progress):
        report.rows += 1
        digests.append(row.digest)
        labels.append(_LABEL_CODES[row.label])
        if row.repair is not None:
            report.repaired[row.repair] += 1
        report.times_made_up += not row.is_time_known
        if len(report.first_rows) < SHOWN_ROWS:
            report.first_rows.append(_shown(row))
    on_progress("looking for repeated rows")
    repeats = _count_repeats(report, np.frombuffer(digests, np.uint64), np.frombuffer(labels, np.int8))
    return report, repeats


def used_rows(
    plan: ImportPlan,
    repeats: Repeats,
    on_left_out: Callable[[LeftOut], None] = lambda row: None,
    on_progress: Callable[[str], None] = lambda step: None,
) -> Iterator[Row]:
    """Yield the rows that are used: usable ones, repeated ones once, contradictory ones not.

    Args:
        plan: how to read the files.
        repeats: what :func:`survey` found.
        on_left_out: called with every other row.
        on_progress: called with a line of text from time to time.

    Raises:
        DatasetError: a file is damaged or incomplete.
    """
    seen: set[int] = set()
    for row in read_rows(plan, on_left_out, on_progress):
        digest = row.digest
        if digest in repeats.contradictory:
            on_left_out(LeftOut(row.file, row.line, Reason.BOTH_LABELS, "the same row occurs with both labels"))
        elif digest in seen:
            on_left_out(LeftOut(row.file, row.line, Reason.REPEATED, "the same row occurs before"))
        else:
            if digest in repeats.same:
                seen.add(digest)
            yield row


def _note_texts(plan: ImportPlan, actions: RecordedActions, on_progress: Callable[[str], None]) -> None:
    """Tell the actions the texts of every comment with their times."""
    for row in read_rows(replace(plan, actions=None, needs_labels=False), lambda left_out: None, on_progress):
        if row.given_id:
            actions.note_text(row.given_id, row.comment.event_time_us)
    actions.end_of_texts()


def _count_repeats(report: ImportReport, digests: NDArray[np.uint64], labels: NDArray[np.int8]) -> Repeats:
    order = np.argsort(digests, kind="stable")
    ordered, ordered_labels = digests[order], labels[order]
    is_first = np.ones(len(ordered), bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_first)
    counts = np.diff(np.append(starts, len(ordered)))
    if not len(starts):
        return Repeats(frozenset(), frozenset())
    is_kept = np.logical_or.reduceat(ordered_labels == 1, starts)
    is_removed = np.logical_or.reduceat(ordered_labels == 2, starts)
    is_both = is_kept & is_removed
    is_repeated = (counts > 1) & ~is_both
    if both := int(counts[is_both].sum()):
        report.left_out[Reason.BOTH_LABELS] += both
    if repeated := int((counts[is_repeated] - 1).sum()):
        report.left_out[Reason.REPEATED] += repeated
    used_labels = ordered_labels[starts][~is_both]
    report.used = len(used_labels)
    report.removed = int((used_labels == 2).sum())
    report.unlabelled = int((used_labels == 0).sum())
    unique = ordered[starts]
    return Repeats(frozenset(unique[is_repeated].tolist()), frozenset(unique[is_both].tolist()))


def _shown(row: Row) -> ShownRow:
    comment = row.comment
    return ShownRow(
        comment.comment_id, comment.community, comment.body, comment.event_time_us, row.is_time_known, row.label
    )
