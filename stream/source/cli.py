"""Command line of the source: turns options into a plan and runs the Faust worker around it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import faust
import typer

from moderation.datasets.importer.authors import parse_author_key
from moderation.datasets.synthetic import TrafficConfig
from moderation.errors import ConfigurationError, ModerationError
from moderation.settings import Settings, load_settings, secret_text
from stream.exit_codes import worker_exit_code
from stream.source.app import source_app
from stream.source.pacing import AsFastAsPossible, AtRate, AtRecordedTimes, Pace
from stream.source.plan import Anchor, CsvExport, Generated, History, Origin, SendPlan
from stream.source_options import GENERATED, with_source_options

_PROGRAM = "python -m stream source"
_FIELDS = {name: f"{name}_share" for name in ("late", "duplicate", "broken", "future")} | {"edited": "edit_share"}


def main(arguments: Sequence[str]) -> None:
    """Run the source until its input is exhausted or it is stopped; ends the process with an exit code.

    Args:
        arguments: the command line after ``source``.
    """
    try:
        settings = load_settings()
        app = source_app(settings, plan_of(arguments, settings))
    except ModerationError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
        raise SystemExit(worker_exit_code(error)) from None
    faust.Worker(app, loglevel=settings.log_level.upper(), quiet=True).execute_from_commandline()


def plan_of(arguments: Sequence[str], settings: Settings) -> SendPlan:
    """Parse a command line into a plan.

    Args:
        arguments: the command line after ``source``.
        settings: give the default state folder and the key of authors.

    Raises:
        ConfigurationError: the value of an option is out of its limits or malformed.
        SystemExit: an option is unknown, missing or excludes another; code 2, after the usage was printed.
    """
    parsed: list[Mapping[str, Any]] = []

    def source(options: Mapping[str, Any]) -> None:
        """Feed topics comments and actions from a recorded or generated history.

        Started again with the same --state, it continues where it stopped.
        """
        parsed.append(options)

    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(with_source_options(source))
    try:
        command(list(arguments), prog_name=_PROGRAM)
    except SystemExit:  # a command always ends with one; without parsed options it printed its help or an error
        if not parsed:
            raise
    return plan_from(parsed[0], settings)


def plan_from(options: Mapping[str, Any], settings: Settings) -> SendPlan:
    """Return the plan that options state.

    Args:
        options: as :mod:`stream.source_options` declares and checks them.
        settings: give the default state folder.

    Raises:
        ConfigurationError: the value of an option is out of its limits or malformed, or the key of authors is.
    """
    return SendPlan(
        origin=_origin(options, settings),
        state=options["state"] or settings.state_folder / "source",
        pace=_pace(options),
        actions=not options["no_actions"],
        skip=options["skip"],
        limit=options["limit"],
        shift_to=None if options["shift_to"] is None else instant(options["shift_to"]),
        anchor=None if options["shift_anchor"] is None else Anchor(options["shift_anchor"]),
    )


def instant(text: str) -> int | Literal["now"]:
    """Parse ``now`` or an ISO time (UTC unless it names a zone) into microseconds since the epoch.

    Raises:
        ConfigurationError: the text is neither.
    """
    if text == "now":
        return "now"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError("--shift-to", f"{text!r} is neither now nor an ISO time") from error
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _origin(options: Mapping[str, Any], settings: Settings) -> Origin:
    if options["csv"]:
        return CsvExport(options["csv"], parse_author_key(secret_text(settings.author_key)))
    if options["history"]:
        return History(options["history"])
    stated = {_FIELDS.get(name, name): options[name] for name in GENERATED if options[name] is not None}
    return Generated(TrafficConfig(**stated))


def _pace(options: Mapping[str, Any]) -> Pace:
    if options["rate"] is not None:
        return AtRate(options["rate"])
    return AsFastAsPossible() if options["fast"] else AtRecordedTimes(options["speed"])
