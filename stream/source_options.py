"""Command-line options of the traffic source, declared once for its three commands.

The commands are ``python -m stream source``, ``moderation source`` and ``moderation replay``. This module imports no
library of the stream, so that ``moderation --help`` stays fast and works without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

_TRAFFIC = "Traffic: exactly one of these"
_PACE = "Pace: exactly one of these"
_GENERATED = "With --generate"


def _declaration(
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file of comments, see docs/own-data.md.", rich_help_panel=_TRAFFIC),
    ] = None,
    history: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A folder of `moderation generate`.", rich_help_panel=_TRAFFIC)
    ] = None,
    generate: Annotated[
        bool, typer.Option("--generate", help="Generate traffic while sending.", rich_help_panel=_TRAFFIC)
    ] = False,
    rate: Annotated[float | None, typer.Option(help="Records a second.", rich_help_panel=_PACE)] = None,
    speed: Annotated[
        float | None, typer.Option(help="Recorded times, this many times as fast.", rich_help_panel=_PACE)
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="As fast as the broker accepts records.", rich_help_panel=_PACE)
    ] = False,
    shift_to: Annotated[
        str | None, typer.Option(metavar="TIME", help="Shift all times to `now` or to an ISO time.")
    ] = None,
    shift_anchor: Annotated[
        Literal["first", "last-comment", "last"] | None,
        typer.Option(help="Arrival that gets that time. Default: first with --speed up to 1, else last."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Send this many records in all, over all runs.")] = None,
    skip: Annotated[int, typer.Option(help="Leave out the first records.")] = 0,
    state: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the checkpoint and the delivery log.")
    ] = None,
    no_actions: Annotated[bool, typer.Option("--no-actions", help="Send comments only.")] = False,
    days: Annotated[int | None, typer.Option(help="Days of traffic.", rich_help_panel=_GENERATED)] = None,
    comments_per_day: Annotated[
        int | None, typer.Option(help="Comments a day, all communities together.", rich_help_panel=_GENERATED)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same traffic.", rich_help_panel=_GENERATED)] = None,
    late: Annotated[
        float | None, typer.Option(help="Share that arrives after its pane closed.", rich_help_panel=_GENERATED)
    ] = None,
    duplicate: Annotated[
        float | None, typer.Option(help="Share that arrives twice.", rich_help_panel=_GENERATED)
    ] = None,
    edited: Annotated[
        float | None, typer.Option(help="Share that is edited minutes later.", rich_help_panel=_GENERATED)
    ] = None,
    broken: Annotated[
        float | None, typer.Option(help="Share that cannot be read as a comment.", rich_help_panel=_GENERATED)
    ] = None,
    future: Annotated[
        float | None, typer.Option(help="Share that is dated ahead of its arrival.", rich_help_panel=_GENERATED)
    ] = None,
) -> None:
    """Declare the options; the function is never called."""


_PARAMETERS = {
    name: parameter.replace(kind=Parameter.KEYWORD_ONLY)
    for name, parameter in signature(_declaration, eval_str=True).parameters.items()
}
GENERATED = ("days", "comments_per_day", "seed", "late", "duplicate", "edited", "broken", "future")
"""Options that need ``--generate``."""


def with_source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the source to a command.

    Args:
        command: gets them checked, as one mapping, in its parameter ``options``; its other parameters stay its own.
    """
    others = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for name, parameter in signature(command, eval_str=True).parameters.items()
        if name != "options"
    ]

    def run(**values: Any) -> None:
        options = {name: values.pop(name) for name in _PARAMETERS}
        _require_consistent(options)
        command(options=options, **values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {}
    run.__signature__ = Signature([*_PARAMETERS.values(), *others])  # type: ignore[attr-defined]
    return run


def words_of(options: Mapping[str, Any]) -> list[str]:
    """Return the command line that states the options."""
    words: list[str] = []
    for name, value in options.items():
        if value is not None and value is not False and value != _PARAMETERS[name].default:
            words.append(f"--{name.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    return words


def _require_consistent(options: Mapping[str, Any]) -> None:
    if sum(map(bool, (options["csv"], options["history"], options["generate"]))) != 1:
        raise typer.BadParameter("give exactly one of --csv, --history and --generate")
    if (options["rate"] is not None) + (options["speed"] is not None) + options["fast"] != 1:
        raise typer.BadParameter("give exactly one of --rate, --speed and --fast")
    for name in GENERATED:
        if options[name] is not None and not options["generate"]:
            raise typer.BadParameter(f"--{name.replace('_', '-')} needs --generate")
