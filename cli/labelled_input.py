"""Options of commands that read comments from files, and the import that they state."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from cli.options import DEFAULT_FOLDER
from cli.output import progress
from cli.output_files import write_file
from moderation.errors import ConfigurationError

if TYPE_CHECKING:
    from cli.lake_input import LakeImport
    from moderation.datasets.history import BadRow
    from moderation.datasets.importer import Import, ImportPlan, Stated

_FILES = "Files: what they are is guessed, shown, and can be stated"
_LAKE = "The lake"
ACCEPTABLE = ("left-out", "times", "chance")
MOST_COMMENTS = 200_000
_SHOWN = 10
_SHOWN_FILES = 5
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "space": " "}


def _declaration(
    format_name: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="A known format, see docs/own-data.md.", rich_help_panel=_FILES),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=COLUMN,…",
            help="Columns, e.g. body=comment_text,label=toxic>=0.5,time=created_utc:s,community=subreddit. "
            "Roles: body, label, time, community, id, author, parent.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON file with columns, encoding and delimiter; read if it exists, else written.",
            dir_okay=False,
            rich_help_panel=_FILES,
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Text encoding, e.g. utf-8, utf-16, cp1252.", rich_help_panel=_FILES)
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(help="Of CSV files: comma, semicolon, tab, pipe or a character.", rich_help_panel=_FILES),
    ] = None,
    quote: Annotated[
        str | None, typer.Option(help="Quotation mark of CSV files, or none.", rich_help_panel=_FILES)
    ] = None,
    no_header: Annotated[
        bool,
        typer.Option(
            "--no-header", help="The first line of a CSV file is a row; columns are #1, #2, …", rich_help_panel=_FILES
        ),
    ] = False,
    community: Annotated[
        str | None, typer.Option(help="Community of comments whose file has no such column.", rich_help_panel=_FILES)
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="left-out,times,chance",
            help="Continue although more than 1 % of the rows are left out, times are made up, or (train) the model is "
            "no better than chance.",
            rich_help_panel=_FILES,
        ),
    ] = None,
) -> None:
    """Declare the options that state how files are read; the function is never called."""


def _file_declaration(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE…", help="Files, folders, patterns, or - for standard input.", show_default=False),
    ] = None,
) -> None:
    """Declare the argument that names files; the function is never called."""


def _former_declaration(
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="The same as FILE.", rich_help_panel=_FILES)
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="A folder of `moderation generate`; the same as FILE.", rich_help_panel=_FILES
        ),
    ] = None,
) -> None:
    """Declare the former spellings of FILE; the function is never called."""


def _training_declaration(
    sample: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Largest number of comments that models are fitted on; of more, a random sample with the same share "
            "of removed ones is used, determined by --seed. 0 uses all.",
            rich_help_panel=_FILES,
        ),
    ] = MOST_COMMENTS,
    from_lake: Annotated[
        str | None,
        typer.Option(
            metavar="DAYS|START..END",
            help="Read comments and actions of the lake instead of files: of the last DAYS days with mature labels, or "
            "of an interval, e.g. 2026-05-01..2026-05-29 (UTC, the last day not included).",
            rich_help_panel=_LAKE,
        ),
    ] = None,
    no_action: Annotated[
        str,
        typer.Option(
            metavar="MEANING",
            help="With --from-lake: a shown comment without an action is `kept`, or `left out` where only a sample is "
            "reviewed.",
            rich_help_panel=_LAKE,
        ),
    ] = "kept",
) -> None:
    """Declare the options of commands that fit models; the function is never called."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Values of the options.

    Attributes:
        names: files, folders and patterns.
        stated: what is stated about them, as :func:`moderation.datasets.importer.Stated` takes it; columns as text.
        accepted: values of ``--accept``.
        mapping: file of the mapping, or None.
        sample: largest number of comments that models are fitted on; 0 for all.
        from_lake: interval of the lake to read instead of files, or None.
        no_action: meaning of a comment of the lake without an action.
    """

    names: tuple[str, ...]
    stated: Mapping[str, Any]
    accepted: frozenset[str]
    mapping: Path | None
    sample: int = 0
    from_lake: str | None = None
    no_action: str = "kept"

    @property
    def is_stated(self) -> bool:
        """Whether any option states how the files are read."""
        return self.mapping is not None or bool(self.stated)


def with_import_options(
    *, files: bool = True, former: bool = True, training: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options to a command, which gets them in its parameter ``given``.

    Args:
        files: whether the command names files by an argument.
        former: whether it also has ``--csv`` and ``--history``.
        training: whether it fits models, so that it also has ``--sample``.
    """
    declarations: list[Callable[..., None]] = [
        _declaration,
        *([_file_declaration] if files else []),
        *([_former_declaration] if former else []),
        *([_training_declaration] if training else []),
    ]
    parameters = {
        name: parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for declaration in declarations
        for name, parameter in signature(declaration, eval_str=True).parameters.items()
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        others = [
            parameter.replace(kind=Parameter.KEYWORD_ONLY)
            for name, parameter in signature(command, eval_str=True).parameters.items()
            if name != "given"
        ]

        def run(**values: Any) -> None:
            options = {name: values.pop(name) for name in parameters}
            command(given=_checked(options, needs_files=files), **values)

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__annotations__ = {}
        run.__signature__ = Signature([*others, *parameters.values()])  # type: ignore[attr-defined]
        return run

    return decorate


def start_import(
    given: ImportOptions, on_progress: Callable[[str], None], *, seed: int = 0, data_folder: Path = DEFAULT_FOLDER
) -> Import | LakeImport:
    """Plan, survey and check the import that options state, or read the lake.

    It prints how each file is understood, and the size of a sample.

    Args:
        given: the options.
        on_progress: called with a line of text from time to time.
        seed: of the sample.
        data_folder: folder of the local stack, for the lake.

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
        ConfigurationError: an option, the file or the key of authors is malformed.
    """
    from moderation.datasets.importer import Stated, parse_columns
    from moderation.datasets.importer.authors import parse_author_key
    from moderation.datasets.importer.mapping import mapping_from_fields
    from moderation.settings import load_settings, secret_text

    stored: dict[str, Any] = {}
    if given.mapping is not None and given.mapping.exists():
        stored = _read_mapping(given.mapping)
        stored["columns"] = mapping_from_fields(stored.get("columns") or {})
    options = dict(given.stated)
    columns = {**stored.pop("columns", {}), **parse_columns(options.pop("columns", ()))}
    author_key = parse_author_key(secret_text(load_settings().author_key))
    return Stated(**{**stored, **options, "columns": columns, "author_key": author_key})


def save_mapping(given: ImportOptions, plan: ImportPlan) -> None:
    """Write the mapping file, unless it exists or none is asked for."""
    if given.mapping is not None and not given.mapping.exists():
        write_file(given.mapping, orjson.dumps(plan.lineage(), option=orjson.OPT_INDENT_2) + b"\n")


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


def show_left_out(imported: Import | LakeImport) -> None:
    """Print on standard error the rows that were left out: the counts, and the first ten with their causes."""
    _print_bad_rows(imported.bad_rows, imported.bad_row_count)


def _print_bad_rows(rows: Iterable[BadRow], count: int) -> None:
    for bad in list(rows)[:_SHOWN]:
        progress.print(f"line {bad.line} left out: {bad.cause}", markup=False, highlight=False, soft_wrap=True)
    if count > _SHOWN:
        progress.print(f"… and {count - _SHOWN:,} more rows left out")


def _checked(options: dict[str, Any], needs_files: bool) -> ImportOptions:
    named = [("FILE", options.pop("files", None) or [])]
    named += [(f"--{name}", [str(value)]) for name in ("csv", "history") if (value := options.pop(name, None))]
    given = [(spelling, names) for spelling, names in named if names]
    from_lake = options.get("from_lake")
    if needs_files and len(given) + (from_lake is not None) != 1:
        raise typer.BadParameter("give files as FILE…, or one of --csv FILE, --history FOLDER and --from-lake")
    accepted = frozenset(word.strip() for text in options.pop("accept") or () for word in text.split(","))
    if unknown := sorted(accepted - set(ACCEPTABLE)):
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(ACCEPTABLE)}", param_hint="--accept")
    mapping = options.pop("mapping")
    stated: dict[str, Any] = {
        "format": options["format_name"],
        "columns": options["columns"],
        "encoding": options["encoding"],
        "delimiter": _character("--delimiter", options["delimiter"], DELIMITERS),
        "quote": _character("--quote", options["quote"], {"none": ""}),
        "community": options["community"],
    }
    stated = {name: value for name, value in stated.items() if value is not None}
    if options["no_header"]:
        stated["has_header"] = False
    names = tuple(given[0][1]) if given else ()
    sample, no_action = options.get("sample", 0), options.get("no_action", "kept")
    return ImportOptions(names, stated, accepted, mapping, sample, from_lake, no_action)


def _character(option: str, value: str | None, words: Mapping[str, str]) -> str | None:
    if value is None:
        return None
    character = words.get(value.casefold(), value)
    if len(character) > 1:
        raise typer.BadParameter(f"{value!r} is neither one character nor one of {', '.join(words)}", param_hint=option)
    return character


def _read_mapping(path: Path) -> dict[str, Any]:
    known = {"format", "columns", "encoding", "delimiter", "quote", "has_header", "community"}
    try:
        stored = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            str(path), f"the mapping cannot be read ({error})", "Delete it, or name another file."
        ) from error
    if not isinstance(stored, dict) or not stored.keys() <= known:
        cause = f"it is not a mapping with the keys {', '.join(sorted(known))}"
        raise ConfigurationError(str(path), cause, "Write one with `moderation import FILE --dry-run --mapping NEW`.")
    return {name: value for name, value in stored.items() if value is not None}
