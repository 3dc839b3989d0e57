"""Options of commands that read comments from files or from the lake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import Parameter, Signature, signature
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import typer

from moderation.errors import DatasetError

_FILES = "Files: what they are is guessed, shown, and can be stated"
_LAKE = "The lake"
ACCEPTABLE = ("left-out", "times", "chance")
MOST_COMMENTS = 200_000
MOST_HOURS = 100 * 365.25 * 24
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


def _actions_declaration(
    actions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of moderators' actions with ids and times: the last action within the label window decides.",
            dir_okay=False,
            rich_help_panel=_FILES,
        ),
    ] = None,
    action_columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=COLUMN,…",
            help="Columns of that file, e.g. id=target,action=kind,time=at:s, and words: remove=gone,approve=ok.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    label_window: Annotated[
        float | None,
        typer.Option(
            metavar="HOURS",
            min=0,
            max=MOST_HOURS,
            help="How long after a comment an action on it counts; 48 by default.",
            rich_help_panel=_FILES,
        ),
    ] = None,
) -> None:
    """Declare the options of a file of actions; the function is never called."""


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
        str | None,
        typer.Option(
            metavar="MEANING",
            help="With --from-lake: a shown comment without an action is `kept` (the default), or `left out` where "
            "only a sample is reviewed.",
            rich_help_panel=_LAKE,
        ),
    ] = None,
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
        actions: file of actions, or None.
        actions_stated: columns of that file as text, and the label window, see
            :class:`moderation.datasets.importer.actions.StatedActions`.
        sample: largest number of comments that models are fitted on; 0 for all.
        from_lake: interval of the lake to read instead of files, or None.
        no_action: meaning of a comment of the lake without an action.
    """

    names: tuple[str, ...]
    stated: Mapping[str, Any]
    accepted: frozenset[str]
    mapping: Path | None
    actions: Path | None = None
    actions_stated: Mapping[str, Any] = field(default_factory=dict)
    sample: int = 0
    from_lake: str | None = None
    no_action: str = "kept"

    @property
    def inputs(self) -> list[Path]:
        """Files and folders that the command reads, which no result may replace; also those of patterns and folders.

        A name that stands for no file is among them as it is: the import reports it.
        """
        from moderation.datasets.importer.inputs import STDIN, find_inputs

        found: list[Path] = []
        for name in self.names:
            with suppress(DatasetError):
                found += [each.path for each in find_inputs([name], BytesIO)] if name != STDIN else []
        stated = [each for each in (self.actions, self.mapping) if each is not None]
        return [*map(Path, self.names), *found, *stated]

    @property
    def is_stated(self) -> bool:
        """Whether any option states how the files are read."""
        return self.mapping is not None or self.actions is not None or bool(self.stated)


def with_import_options(
    *, files: bool = True, former: bool = True, labels: bool = True, training: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options to a command, which gets them in its parameter ``given``.

    Args:
        files: whether the command names files by an argument.
        former: whether it also has ``--csv`` and ``--history``.
        labels: whether it uses labels, so that actions may state them.
        training: whether it fits models, so that it also has ``--sample``.
    """
    declarations: list[Callable[..., None]] = [
        _declaration,
        *([_file_declaration] if files else []),
        *([_former_declaration] if former else []),
        *([_actions_declaration] if labels else []),
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
            spellings = ("FILE…", *(("--csv FILE", "--history FOLDER") if former else ()))
            spellings += ("--from-lake",) if training else ()
            command(given=_checked(options, spellings if files else ()), **values)

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__annotations__ = {}
        run.__signature__ = Signature([*others, *parameters.values()])  # type: ignore[attr-defined]
        return run

    return decorate


def _checked(options: dict[str, Any], spellings: Sequence[str]) -> ImportOptions:
    """Check the options together.

    Args:
        options: their values by name.
        spellings: ways to name the comments, of which one must be used; empty if the command does not name files.
    """
    named = [("FILE", options.pop("files", None) or [])]
    named += [(f"--{name}", [str(value)]) for name in ("csv", "history") if (value := options.pop(name, None))]
    given = [(spelling, names) for spelling, names in named if names]
    from_lake = options.get("from_lake")
    if spellings and len(given) + (from_lake is not None) != 1:
        others = " and ".join(filter(None, (", ".join(spellings[1:-1]), *spellings[1:][-1:])))
        raise typer.BadParameter(f"give files as {spellings[0]}" + (f", or one of {others}" if others else ""))
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
    actions, action_columns, window = map(options.get, ("actions", "action_columns", "label_window"))
    if actions is None and (action_columns or window is not None):
        raise typer.BadParameter("it needs --actions FILE", param_hint="--action-columns and --label-window")
    if actions is not None and from_lake is not None:
        raise typer.BadParameter("the lake has its own actions", param_hint="--actions")
    if from_lake is not None and (stated or mapping is not None):
        raise typer.BadParameter("options that state how files are read exclude it", param_hint="--from-lake")
    if from_lake is None and options.get("no_action") is not None:
        raise typer.BadParameter("it needs --from-lake", param_hint="--no-action")
    names = tuple(given[0][1]) if given else ()
    if actions is not None and str(actions) == "-" and "-" in names:
        raise typer.BadParameter("standard input contains comments or actions, not both", param_hint="--actions")
    return ImportOptions(
        names,
        stated,
        accepted,
        mapping,
        actions,
        {"columns": action_columns or (), **({} if window is None else {"window_hours": window})},
        options.get("sample", 0),
        from_lake,
        options.get("no_action") or "kept",
    )


def _character(option: str, value: str | None, words: Mapping[str, str]) -> str | None:
    if value is None:
        return None
    character = words.get(value.casefold(), value)
    if len(character) > 1:
        raise typer.BadParameter(f"{value!r} is neither one character nor one of {', '.join(words)}", param_hint=option)
    return character
