"""Refuse an import that loses rows or makes up values, unless the user accepts it."""

from __future__ import annotations

import re
from collections.abc import Collection

from moderation.datasets.importer.labels import COMPARISONS, AnyLabel
from moderation.datasets.importer.mapping import label_role
from moderation.datasets.importer.plan import ImportPlan
from moderation.datasets.importer.report import ImportReport, LeftOut, Reason, Repair
from moderation.datasets.importer.times import UNITS
from moderation.errors import DatasetError

ACCEPTABLE = ("left-out", "times")
"""Values of ``--accept``: that more than 1 % of the rows are left out; that times are made up."""
MOST_LEFT_OUT = 0.01
_SHOWN_CAUSES = 3
_SHOWN_VALUES = 5


def check_acceptance(plan: ImportPlan, report: ImportReport, accepted: Collection[str]) -> None:
    """Check that an import is as the user expects.

    Args:
        plan: how the files are read.
        report: what they contain.
        accepted: values of ``--accept``.

    Raises:
        DatasetError: no row can be used, more than 1 % are left out, or times are made up, and this is not accepted.
            The message says what to state.
    """
    if not report.used:
        raise DatasetError(plan.name, _none_used(plan, report), _hint(plan, report, "Fix the file.").strip())
    if report.left_out_share > MOST_LEFT_OUT and "left-out" not in accepted:
        left_out = report.left_out.total()
        raise DatasetError(
            plan.name,
            f"{left_out:,} of {report.rows:,} rows ({report.left_out_share:.1%}) would be left out: {report.reasons()}"
            f" ({_causes(report)})",
            _hint(plan, report, "") + "To continue without them, add --accept left-out.",
        )
    _check_stated_label(plan, report)
    _check_encoding(plan, report)
    made_up = [file for file in plan.files if file.mapping.time is None and not is_stated_by_format(file.format)]
    if report.times_made_up and made_up and "times" not in accepted:
        columns = made_up[0].layout.names if made_up[0].layout else ()
        raise DatasetError(
            made_up[0].input.name,
            "no column is known to contain the time, so the comments would be dated one minute apart, from 2018-01-01;"
            f" its columns are {', '.join(columns[:30])}",
            "State it: --columns time=COLUMN. To continue with times that are made up, add --accept times.",
        )


def _check_stated_label(plan: ImportPlan, report: ImportReport) -> None:
    """Refuse a stated label by which all rows are removed, or none, if a command needs both."""
    file = plan.files[0]
    label = file.mapping.label
    if not plan.needs_labels or label is None or plan.stated.columns.get("label") is None:
        return
    if 0 < report.removed < report.used or all(rule.test == "words" for rule in label.rules):
        return
    position = file.positions[label_role(0)]
    values = list(dict.fromkeys(str(row[position])[:30] for row in file.layout.samples)) if file.layout else []
    share = "all rows are" if report.removed else "no row is"
    raise DatasetError(
        plan.name,
        f"{share} removed by label={label}; the first values of column {label.column} are "
        f"{', '.join(map(repr, values[:_SHOWN_VALUES]))}",
        f"State the words or numbers that mean removed: --columns 'label={label.column}=WORD|WORD' or "
        f"'label={label.column}>=0.5'.",
    )


def _check_encoding(plan: ImportPlan, report: ImportReport) -> None:
    """Refuse a stated encoding that does not have the characters of the text, and a guess that many rows contradict."""
    replaced, layout = report.repaired[Repair.REPLACED], plan.files[0].layout
    other = report.repaired[Repair.ENCODING]
    if other > MOST_LEFT_OUT * report.rows and plan.stated.encoding is None:
        raise DatasetError(
            plan.name,
            f"{other:,} of {report.rows:,} rows are not UTF-8, and would be read as Windows-1252",
            "State the encoding of the file, e.g. --encoding cp1251, or --encoding utf-8 if they are Windows-1252.",
        )
    if replaced > MOST_LEFT_OUT * report.rows and layout is not None:
        raise DatasetError(
            plan.name,
            f"{replaced:,} of {report.rows:,} rows contain bytes that {layout.encoding.upper()} does not have",
            "State another encoding, e.g. --encoding utf-8 or cp1252.",
        )


def is_stated_by_format(known: object) -> bool:
    """Whether a known format says that it has no times."""
    return bool(getattr(known, "makes_up_times", False))


def _none_used(plan: ImportPlan, report: ImportReport) -> str:
    if not report.rows:
        return "it contains no rows"
    return f"none of {report.rows:,} rows can be used: {report.reasons()} ({_causes(report)})"


def _causes(report: ImportReport) -> str:
    """Return the first cause of each reason, of times the first of each kind."""
    of_reasons: dict[Reason, LeftOut] = {}
    for row in report.first_left_out:
        of_reasons.setdefault(row.reason, row)
    shown: dict[str, str] = {}
    for row in (*of_reasons.values(), *report.first_left_out):
        kind = row.reason if row.reason is not Reason.NO_TIME else re.sub("'.*'", "", row.cause)
        shown.setdefault(kind, f"{row.file}, line {row.line}: {row.cause}")
    return "; ".join([*shown.values()][:_SHOWN_CAUSES]) or "one row of each is used"


def _hint(plan: ImportPlan, report: ImportReport, otherwise: str) -> str:
    """Return what to state if a reason has a usual remedy, else ``otherwise``."""
    mapping = plan.files[0].mapping
    hints = []
    if report.left_out[Reason.IMMATURE]:
        hints.append("Give comments that the actions cover, or shorten the label window: --label-window HOURS.")
    if report.left_out[Reason.UNKNOWN_LABEL] and mapping.label is not None:
        column = mapping.label.column
        if isinstance(mapping.label, AnyLabel):
            hints.append("State a rule for each column: --columns 'label=A>=0.5|B=WORD'.")
        elif mapping.label.test in COMPARISONS:
            hints.append(
                f"Export column {column} as plain numbers such as 1234.5, or state the words that mean removed: "
                f"--columns 'label={column}=WORD|WORD'."
            )
        elif any(re.search(r"'-?\d+[.,]?\d*'", cause) for cause in report.label_values):
            hints.append(f"State which numbers mean removed: --columns 'label={column}>=0.5'.")
        else:
            hints.append(f"State the words that mean removed: --columns 'label={column}=WORD|WORD'.")
    if report.left_out[Reason.NO_TIME] and mapping.time is not None:
        causes = [row.cause for row in report.first_left_out if row.reason is Reason.NO_TIME]
        if any("ambiguous" in cause for cause in causes):
            column = mapping.time.column
            hints.append(f"State the order of the dates: --columns time={column}:dmy or time={column}:mdy.")
        elif units := {found[1] for cause in causes if (found := re.search(r"would be in (\w+)", cause))}:
            unit = next(short for short, name in UNITS.items() if name.split()[0] in units)
            hints.append(f"State the unit: --columns time={mapping.time.column}:{unit}.")
        elif report.left_out[Reason.NO_TIME] > report.rows / 2:
            hints.append(
                f"State another column or unit, --columns time=COLUMN:s, the form of the times, e.g. "
                f"time={mapping.time.column}:%d-%b-%Y, or time= for none (column {mapping.time.column} is read now)."
            )
    if report.left_out[Reason.LOST_ID]:
        hints.append("Export the ids as text, or state that there are none: --columns id=.")
    layout = plan.files[0].layout
    if report.left_out[Reason.UNREADABLE] > report.rows / 2 and layout is not None and layout.kind == "csv":
        hints.append("State --delimiter, --quote or --encoding if they are not as `moderation import --dry-run` shows.")
    return " ".join(hints) + " " if hints else otherwise
