"""Read all rows once: count what is used and what is left out, and find rows that occur more than once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from moderation.datasets.importer.actions import RecordedActions
from moderation.datasets.importer.plan import ImportPlan
from moderation.datasets.importer.repeats import Repeats, RepeatSearch, Use, row_check
from moderation.datasets.importer.report import (
    SAMPLED_CHARACTERS,
    SAMPLED_TEXTS,
    SHOWN_ROWS,
    ImportReport,
    LeftOut,
    Reason,
    ShownRow,
)
from moderation.datasets.importer.rows import Row, read_rows
from moderation.errors import DatasetError


def survey(plan: ImportPlan, on_progress: Callable[[str], None] = lambda step: None) -> tuple[ImportReport, Repeats]:
    """Read all rows once; with actions twice, first to find edits.

    Memory grows by one byte a row, see :mod:`moderation.datasets.importer.repeats`.

    Args:
        plan: how to read the files; not of a history folder.
        on_progress: called with a line of text from time to time.

    Raises:
        DatasetError: a file is damaged or incomplete, or temporary files cannot be written.
    """
    if plan.actions is not None:
        _note_texts(plan, plan.actions, on_progress)
    report = ImportReport()

    def leave_out(row: LeftOut) -> None:
        report.rows += 1
        report.leave_out(row)
        if row.reason is Reason.UNKNOWN_LABEL and len(report.label_values) < 1_000:
            report.label_values[row.cause] += 1

    with RepeatSearch() as search:
        for row in read_rows(plan, leave_out, on_progress):
            report.rows += 1
            search.add(row.digest, row.label)
            if row.repair is not None:
                report.repaired[row.repair] += 1
            report.times_made_up += not row.is_time_known
            if len(report.first_texts) < SAMPLED_TEXTS:
                report.first_texts.append(row.comment.body[:SAMPLED_CHARACTERS])
            if len(report.first_rows) < SHOWN_ROWS:
                report.first_rows.append(_shown(row))
        on_progress("looking for repeated rows")
        repeats = search.finish()
    for reason, count in ((Reason.BOTH_LABELS, repeats.both_labels), (Reason.REPEATED, repeats.repeated)):
        if count:
            report.left_out[reason] += count
    report.used, report.removed, report.unlabelled = repeats.used, repeats.removed, repeats.unlabelled
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
        DatasetError: a file is damaged or incomplete, or has changed since :func:`survey` read it.
    """
    uses, used, checksum, index = repeats.uses, 0, 0, -1
    for index, row in enumerate(read_rows(plan, on_left_out, on_progress)):
        checksum ^= row_check(index, row.digest, row.label)
        use = uses[index] if index < len(uses) else Use.USED
        if use == Use.USED:
            used += 1
            yield row
        elif use == Use.REPEATED:
            on_left_out(LeftOut(row.file, row.line, Reason.REPEATED, "the same row occurs elsewhere"))
        else:
            on_left_out(LeftOut(row.file, row.line, Reason.BOTH_LABELS, "the same row occurs with both labels"))
    if (index + 1, checksum) != (len(uses), repeats.checksum):
        counts = "" if used == repeats.used else f": {repeats.used:,} rows to use, then {used:,}"
        raise DatasetError(
            plan.name,
            f"it has changed while it was read{counts}",
            "Run the command again when no program writes to it.",
        )


def _note_texts(plan: ImportPlan, actions: RecordedActions, on_progress: Callable[[str], None]) -> None:
    """Tell the actions the texts of every comment with their times."""
    for row in read_rows(replace(plan, actions=None, needs_labels=False), lambda left_out: None, on_progress):
        if row.given_id:
            actions.note_text(row.given_id, row.comment.event_time_us)
    actions.end_of_texts()


def _shown(row: Row) -> ShownRow:
    comment = row.comment
    return ShownRow(
        comment.comment_id, comment.community, comment.body, comment.event_time_us, row.is_time_known, row.label
    )
