"""Resolve the columns of a file: stated ones, those of its format, and guesses from their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from moderation.datasets.importer.formats import Format
from moderation.datasets.importer.labels import AnyLabel, LabelRule
from moderation.datasets.importer.mapping import (
    ColumnMapping,
    TimeRule,
    guess_columns,
    label_role,
    normal,
    with_stated,
)
from moderation.datasets.importer.sniff import Layout
from moderation.datasets.importer.times import is_order_ambiguous, order_of
from moderation.errors import DatasetError

_SHOWN_COLUMNS = 30
_QUESTIONS = {"body": "the text of the comment", "label": "the label (removed or kept)"}


def resolved_mapping(
    name: str, layout: Layout, known: Format | None, stated: dict[str, Any], needs_labels: bool
) -> tuple[ColumnMapping, dict[str, int]]:
    """Return the columns of a file by role, and their numbers from 0.

    Args:
        name: name of the file for messages.
        layout: its columns and first rows.
        known: its format, or None.
        stated: roles with their columns; None states that there is none.
        needs_labels: whether a file without labels is refused.

    Raises:
        DatasetError: a column is absent, ambiguous or missing; the message says what to state.
    """
    names = layout.names
    guessed, ambiguous = guess_columns(list(dict.fromkeys(names)))
    mapping = _of_format(known, guessed, names) if known is not None else guessed
    if known is not None:
        ambiguous = {role: several for role, several in ambiguous.items() if getattr(mapping, role) is None}
    mapping = with_stated(mapping, {**stated, **_label_column(stated.get("label"), names)})
    for role, several in ambiguous.items():
        if role not in stated and (role == "body" or needs_labels):
            raise DatasetError(
                name,
                f"columns {', '.join(several)} could all contain {_QUESTIONS[role]}",
                f"State one: --columns {role}={several[0]}.",
            )
    _require(name, layout, mapping, known, needs_labels)
    positions = {role: column_position(name, names, role, column) for role, column in mapping.columns().items()}
    mapping = replace(
        mapping,
        label=_checked_label(name, layout, mapping.label, positions, needs_labels),
        time=checked_time(name, layout, mapping.time, positions),
    )
    return mapping, positions


def _label_column(label: LabelRule | AnyLabel | None, names: Sequence[str]) -> dict[str, LabelRule]:
    """Return the label if its whole text is the name of a column, e.g. ``p>0.5``; nothing otherwise."""
    if isinstance(label, LabelRule) and label.test != "words" and label.column not in names:
        text = normal(str(label).replace('"', ""))
        column = next((each for each in names if normal(each) == text), None)
        if column is not None:
            return {"label": LabelRule(column)}
    return {}


def _of_format(known: Format, guessed: ColumnMapping, names: Sequence[str]) -> ColumnMapping:
    """Return the mapping of a format, without optional columns that are absent, with a label if a column has it."""
    present = {normal(each) for each in names}
    mapping = known.mapping
    absent = {
        role: None
        for role, column in mapping.columns().items()
        if normal(column) not in present and normal(column) not in known.required
    }
    mapping = replace(mapping, **absent)
    return mapping if mapping.label is not None else replace(mapping, label=guessed.label)


def _require(name: str, layout: Layout, mapping: ColumnMapping, known: Format | None, needs_labels: bool) -> None:
    note = f" {known.note}" if known is not None and known.note else ""
    for role in ("body", "label") if needs_labels else ("body",):
        if getattr(mapping, role) is not None:
            continue
        remedy = f"State it: --columns {role}=COLUMN"
        if role == "label":
            remedy += ", or label=COLUMN>=0.5 for a score, or label=COLUMN=WORD for a word that means removed"
        remedy += "."
        if role == "label":
            remedy += (
                " Actions of moderators in another file: --actions FILE. Without any label, start with "
                "`moderation bootstrap`; `moderation score` and `moderation import` need none, and "
                "`moderation report --without-labels` describes the comments."
            )
        if layout.kind == "csv" and len(layout.names) == 1:
            remedy = (
                "If its columns are separated by another character, state --delimiter. If every line is a comment, add "
                f"--no-header --columns body=#1. {remedy}"
            )
        elif layout.kind == "csv" and not layout.names[0].startswith("#") and _looks_like_a_row(layout.names):
            number = max(range(len(layout.names)), key=lambda index: len(layout.names[index])) + 1
            remedy = (
                f"If its first line is a row, add --no-header and name columns by number: --columns {role}=#{number}."
            )
        raise DatasetError(
            name,
            f"no column is known to contain {_QUESTIONS[role]}; its columns are {_listed(layout.names)}",
            remedy + note,
        )


def column_position(name: str, names: Sequence[str], role: str, column: str, option: str = "--columns") -> int:
    """Return the number of a column from 0.

    Args:
        name: name of the file for messages.
        names: its columns.
        role: role of the column.
        column: its name, or ``#`` and its number from 1.
        option: option that states it, for messages.

    Raises:
        DatasetError: there is no such column, or several.
    """
    role = role.partition(" ")[0]
    if column.startswith("#") and column[1:].isdigit() and 1 <= int(column[1:]) <= len(names):
        return int(column[1:]) - 1
    exact = [index for index, each in enumerate(names) if each == column]
    found = exact or [index for index, each in enumerate(names) if normal(each) == normal(column)]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = " and ".join(f"#{index + 1}" for index in found)
        raise DatasetError(
            name,
            f"{len(found)} columns have the name {column!r}: {numbers}",
            f"State the number: {option} {role}=#{found[0] + 1}.",
        )
    raise DatasetError(
        name, f"it has no column {column!r}; its columns are {_listed(names)}", f"State {option} {role}=COLUMN."
    )


def _checked_label(
    name: str, layout: Layout, label: LabelRule | AnyLabel | None, positions: dict[str, int], needs_labels: bool
) -> LabelRule | AnyLabel | None:
    if label is not None and needs_labels:
        for number, rule in enumerate(label.rules):
            if rule.test == "words":
                _check_words(name, layout, rule, positions[label_role(number)])
    return label


def _check_words(name: str, layout: Layout, rule: LabelRule, position: int) -> None:
    for row in layout.samples:
        text = str(row[position]).strip()
        try:
            number = float(text)
        except ValueError:
            continue
        if number not in (-1.0, 0.0, 1.0) and number == number:
            raise DatasetError(
                name,
                f"column {rule.column} contains numbers such as {text}, neither 0 nor 1",
                f"State which mean removed: --columns 'label={rule.column}>=0.5' or 'label={rule.column}={text}'.",
            )


def checked_time(
    name: str, layout: Layout, rule: TimeRule | None, positions: dict[str, int], option: str = "--columns"
) -> TimeRule | None:
    """Return the rule of a column of times with the order of day and month that its first values show.

    Args:
        name: name of the file for messages.
        layout: columns and first rows of the file.
        rule: as stated or guessed.
        positions: numbers of the columns by role.
        option: option that states the column, for messages.

    Raises:
        DatasetError: the order of day and month is not clear.
    """
    if rule is None or rule.rule is not None:
        return rule
    values = [str(row[positions["time"]]) for row in layout.samples]
    if (order := order_of(values)) is not None:
        return TimeRule(rule.column, order)
    if is_order_ambiguous(values) and sum("/" in each or "." in each for each in values) > len(values) / 2:
        example = next(each for each in values if is_order_ambiguous([each]))
        raise DatasetError(
            name,
            f"dates such as {example!r} in column {rule.column} have the day or the month first",
            f"State it: {option} time={rule.column}:dmy or time={rule.column}:mdy.",
        )
    return rule


def _looks_like_a_row(names: Sequence[str]) -> bool:
    return any(len(each) > 40 or each.replace(".", "", 1).isdigit() or " " in each.strip() for each in names)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(each) if not each else each[:40] for each in names[:_SHOWN_COLUMNS])
    return shown + (f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else "")
