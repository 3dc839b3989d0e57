"""Import files as labelled comments: plan, survey, check, then read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from moderation.datasets.history import BadRow, LabelledComment
from moderation.datasets.importer.acceptance import check_acceptance
from moderation.datasets.importer.actions import RecordedActions
from moderation.datasets.importer.inputs import Input, find_inputs
from moderation.datasets.importer.plan import ImportPlan, Stated, plan_import
from moderation.datasets.importer.repeats import Repeats
from moderation.datasets.importer.report import ImportReport
from moderation.datasets.importer.sample import Sample, draw_sample
from moderation.datasets.importer.survey import survey, used_rows
from moderation.datasets.recorded import read_history


@dataclass(slots=True)
class Import:
    """An import that was checked.

    Attributes:
        plan: how the files are read.
        report: what they contain; of a history folder, filled while it is read.
        repeats: rows that occur more than once; None for a history folder.
        bad_rows: rows that are left out, at most the first thousand, filled while the comments are read.
        bad_row_count: how many rows are left out.
        sample: which of the comments are read; None reads all.
    """

    plan: ImportPlan
    report: ImportReport
    repeats: Repeats | None
    bad_rows: list[BadRow] = field(default_factory=list)
    bad_row_count: int = 0
    sample: Sample | None = None

    @property
    def name(self) -> str:
        """Name of the files, see :attr:`ImportPlan.name`."""
        return self.plan.name

    @property
    def weights(self) -> None:
        """None: every comment of a file represents itself."""

    def take_sample(self, most: int, seed: int, on_progress: Callable[[str], None] = lambda step: None) -> None:
        """Read a sample from now on, if there are more comments than a training can use.

        Args:
            most: largest number of comments.
            seed: of the draw.
            on_progress: called with a line of text from time to time.

        Raises:
            DatasetError: a file is damaged.
        """
        self.sample = None
        if self.repeats is None:
            on_progress("counting comments")
            removed = kept = 0
            for row in self.comments():
                removed, kept = removed + row.removed, kept + (not row.removed)
        else:
            removed, kept = self.report.removed, self.report.used - self.report.removed
        self.sample = draw_sample(most, kept, removed, seed)

    def comments(self, on_progress: Callable[[str], None] = lambda step: None) -> Iterator[LabelledComment]:
        """Yield the comments, or their sample, with their last actions; every call reads the files again.

        Args:
            on_progress: called with a line of text from time to time.

        Raises:
            DatasetError: a file is damaged, or has changed since it was checked.
        """
        self.bad_rows.clear()
        self.bad_row_count = 0
        if self.repeats is None:
            rows = read_history(self.plan.files[0].input.path, self._leave_out)
            if self.plan.needs_labels:
                rows = self._with_label(rows)
        else:
            used = used_rows(
                self.plan, self.repeats, lambda row: self._leave_out(BadRow(row.line, row.cause)), on_progress
            )
            rows = (row.labelled() for row in used)
        yield from rows if self.sample is None else self.sample.select(rows)

    def lineage(self) -> dict[str, Any]:
        """Return the origin of the comments for the model card: mapping, counts and sample, without paths."""
        actions = {} if self.plan.actions is None else {"actions": self.plan.actions.fields()}
        counts = {} if self.repeats is None else self.report.fields()
        sample = None if self.sample is None else self.sample.fields()
        return {"import": {**self.plan.lineage(), **actions, **counts, "sample": sample}}

    def _with_label(self, rows: Iterator[LabelledComment]) -> Iterator[LabelledComment]:
        for row in rows:
            if row.has_label:
                yield row
            else:
                self._leave_out(BadRow(row.origin.line if row.origin else 0, "it has no label"))

    def _leave_out(self, row: BadRow) -> None:
        self.bad_row_count += 1
        if len(self.bad_rows) < 1_000:
            self.bad_rows.append(row)


def import_files(
    inputs: Sequence[Input],
    stated: Stated,
    *,
    needs_labels: bool = True,
    accepted: Collection[str] = (),
    actions: RecordedActions | None = None,
    on_progress: Callable[[str], None] = lambda step: None,
) -> Import:
    """Plan, survey and check an import; nothing is refused after this.

    Args:
        inputs: files, see :func:`moderation.datasets.importer.inputs.find_inputs`.
        stated: what the user states about them.
        needs_labels: whether rows without a label are left out.
        accepted: values of ``--accept``.
        actions: actions that decide the labels, see :func:`moderation.datasets.importer.actions.read_actions`.
        on_progress: called with a line of text from time to time.

    Raises:
        DatasetError: the files cannot be read, or something must be stated or accepted; the message says what.
        ConfigurationError: both actions and a column with labels are stated.
    """
    plan = plan_import(inputs, stated, needs_labels=needs_labels, actions=actions, on_progress=on_progress)
    if plan.is_history:
        return Import(plan, ImportReport(), None)
    report, repeats = survey(plan, on_progress)
    check_acceptance(plan, report, accepted)
    return Import(plan, report, repeats)


def plain_import(
    path: Path, *, needs_labels: bool = True, accepted: Collection[str] = (), author_key: bytes = b""
) -> Import:
    """Import one file of which nothing is stated.

    Args:
        path: the file.
        needs_labels: whether rows without a label are left out.
        accepted: values of ``--accept``.
        author_key: key of the pseudonyms of authors.

    Raises:
        DatasetError: the file cannot be read, or something must be stated or accepted; the message says what.
    """
    stated = Stated(author_key=author_key)
    return import_files(find_inputs([str(path)], BytesIO), stated, needs_labels=needs_labels, accepted=accepted)
