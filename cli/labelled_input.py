"""The import that options of commands state, and what is printed about it."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from cli.import_options import MOST_HOURS, ImportOptions
from cli.options import DEFAULT_FOLDER
from cli.output import progress
from cli.output_files import check_output_file, write_file
from moderation.errors import ConfigurationError

if TYPE_CHECKING:
    from cli.lake_input import LakeImport
    from moderation.datasets.history import BadRow
    from moderation.datasets.importer import Import, ImportPlan, Stated
    from moderation.datasets.importer.actions import RecordedActions

_SHOWN = 10
_SHOWN_FILES = 5


def start_import(
    given: ImportOptions,
    on_progress: Callable[[str], None],
    *,
    seed: int = 0,
    data_folder: Path = DEFAULT_FOLDER,
    needs_labels: bool = True,
) -> Import | LakeImport:
    """Plan, survey and check the import that options state, or read the lake.

    It prints how each file is understood, and the size of a sample.

    Args:
        given: the options.
        on_progress: called with a line of text from time to time.
        seed: of the sample.
        data_folder: folder of the local stack, for the lake.
        needs_labels: whether every comment of a file must have a label.

    Raises:
        DatasetError: a file cannot be read, or something must be stated or accepted.
        ConfigurationError: an option or the mapping file is malformed.
    """
    if given.from_lake is not None:
        from cli.lake_input import read_lake

        lake = read_lake(given.from_lake, given.no_action, given.sample, data_folder, on_progress)
        if (text := lake.sample_text()) is not None:
            progress.print(text, markup=False, highlight=False, soft_wrap=True)
        return lake
    from moderation.datasets.importer import find_inputs, import_files

    inputs = find_inputs(given.names, lambda: sys.stdin.buffer)
    imported = import_files(
        inputs,
        stated_of(given),
        accepted=given.accepted,
        needs_labels=needs_labels,
        actions=actions_of(given, on_progress),
        on_progress=on_progress,
    )
    show_plan(imported.plan)
    save_mapping(given, imported.plan)
    if given.sample:
        imported.take_sample(given.sample, seed, on_progress)
        if imported.sample is not None:
            progress.print(imported.sample.text(), markup=False, highlight=False, soft_wrap=True)
    return imported


def stated_of(given: ImportOptions) -> Stated:
    """Return what options and mapping file state; an option wins over the file.

    Raises:
        ConfigurationError: an option, the file or the key of authors is malformed, or the file does not exist and
            cannot be written.
    """
    from moderation.datasets.importer import Stated, parse_columns
    from moderation.datasets.importer.authors import parse_author_key
    from moderation.datasets.importer.mapping import mapping_from_fields
    from moderation.settings import load_settings, secret_text

    if given.mapping is not None and not given.mapping.exists():
        check_output_file(given.mapping, ())
    stored = _stored_mapping(given)
    stored.pop("actions", None)
    if stored:
        stored["columns"] = mapping_from_fields(stored.get("columns") or {})
    options = dict(given.stated)
    columns = {**stored.pop("columns", {}), **parse_columns(options.pop("columns", ()))}
    author_key = parse_author_key(secret_text(load_settings().author_key))
    return Stated(**{**stored, **options, "columns": columns, "author_key": author_key})


def actions_of(given: ImportOptions, on_progress: Callable[[str], None]) -> RecordedActions | None:
    """Read the file of actions that options name; None without one. An option wins over the mapping file.

    Raises:
        DatasetError: it cannot be read, or its columns must be stated.
        ConfigurationError: an option or the mapping file is malformed.
    """
    if given.actions is None:
        return None
    from moderation.datasets.importer import find_inputs
    from moderation.datasets.importer.actions import (
        DEFAULT_WINDOW_HOURS,
        StatedActions,
        parse_action_columns,
        read_actions,
    )

    stored = _stored_mapping(given).get("actions", {})
    columns = parse_action_columns([f'{role}="{column}"' for role, column in stored.get("columns", {}).items()])
    columns |= parse_action_columns(given.actions_stated.get("columns", ()))
    window = given.actions_stated.get("window_hours", stored.get("window_hours", DEFAULT_WINDOW_HOURS))
    stated = StatedActions(columns, window)
    files = find_inputs([str(given.actions)], lambda: sys.stdin.buffer)
    if len(files) > 1:
        raise ConfigurationError(str(given.actions), f"it contains {len(files)} files", "Name one of them.")
    return read_actions(files[0], stated, on_progress, given.accepted)


def save_mapping(given: ImportOptions, plan: ImportPlan) -> None:
    """Write the mapping file, unless it exists or none is asked for."""
    if given.mapping is not None and not given.mapping.exists():
        actions = {} if plan.actions is None else {"actions": plan.actions.mapping()}
        write_file(given.mapping, orjson.dumps(plan.lineage() | actions, option=orjson.OPT_INDENT_2) + b"\n")


def show_plan(plan: ImportPlan) -> None:
    """Print on standard error how each file is understood, and which columns are not used."""
    for file in plan.files[:_SHOWN_FILES]:
        progress.print(file.summary(), markup=False, highlight=False, soft_wrap=True)
        if file.unused:
            names = ", ".join(file.unused[:30]) + (
                f" and {len(file.unused) - 30} more" if len(file.unused) > 30 else ""
            )
            progress.print(f"  not used: {names}", markup=False, highlight=False, soft_wrap=True)
        if file.format is not None and file.format.makes_up_times and file.mapping.time is None:
            progress.print("  times are made up: one minute apart, from 2018-01-01", highlight=False)
    if len(plan.files) > _SHOWN_FILES:
        progress.print(f"… and {len(plan.files) - _SHOWN_FILES:,} more files")
    if plan.actions is not None:
        progress.print(plan.actions.summary(), markup=False, highlight=False, soft_wrap=True)


def encodings_of(imported: Import | LakeImport) -> dict[str, str]:
    """Return the encoding of each text file by its name; the lake and binary files have none."""
    from moderation.datasets.importer.importing import Import

    if not isinstance(imported, Import):
        return {}
    return {file.input.name: file.layout.encoding for file in imported.plan.files if file.layout is not None}


def show_left_out(imported: Import | LakeImport) -> None:
    """Print on standard error the rows that were left out: the counts, and the first ten with their causes."""
    _print_bad_rows(imported.bad_rows, imported.bad_row_count)


def _print_bad_rows(rows: Iterable[BadRow], count: int) -> None:
    for bad in list(rows)[:_SHOWN]:
        progress.print(f"line {bad.line} left out: {bad.cause}", markup=False, highlight=False, soft_wrap=True)
    if count > _SHOWN:
        progress.print(f"… and {count - _SHOWN:,} more rows left out")


def _stored_mapping(given: ImportOptions) -> dict[str, Any]:
    return {} if given.mapping is None or not given.mapping.exists() else _read_mapping(given.mapping)


def _read_mapping(path: Path) -> dict[str, Any]:
    texts: dict[str, type] = dict.fromkeys(("format", "encoding", "delimiter", "quote", "community"), str)
    known: dict[str, type] = {**texts, "columns": dict, "has_header": bool, "actions": dict}
    try:
        stored = orjson.loads(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            str(path), f"the mapping cannot be read ({error})", "Delete it, or name another file."
        ) from error
    if not isinstance(stored, dict) or not stored.keys() <= known.keys():
        cause = f"it is not a mapping with the keys {', '.join(sorted(known))}"
        raise ConfigurationError(str(path), cause, "Write one with `moderation import FILE --dry-run --mapping NEW`.")
    stored = {name: value for name, value in stored.items() if value is not None}
    for name, value in stored.items():
        is_long = name in ("delimiter", "quote") and len(str(value)) > 1
        if not isinstance(value, known[name]) or is_long or (name == "actions" and not _states_actions(value)):
            raise ConfigurationError(
                str(path),
                f"{name}: {value!r} cannot be used",
                "Correct it, or delete the file and state it by options.",
            )
    return stored


def _states_actions(value: Any) -> bool:
    columns, window = value.get("columns", {}), value.get("window_hours", 0)
    return (
        value.keys() <= {"columns", "window_hours"}
        and isinstance(columns, dict)
        and all(isinstance(column, str) for column in columns.values())
        and isinstance(window, (int, float))
        and 0 <= window <= MOST_HOURS
    )
