"""The command line of the source: options to a plan, and the Faust worker around it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import faust

from moderation.datasets.synthetic import TrafficConfig
from moderation.errors import ConfigurationError, ModerationError
from moderation.settings import Settings, load_settings
from stream.exit_codes import REFUSED
from stream.source.app import source_app
from stream.source.pacing import AsFastAsPossible, AtRate, AtRecordedTimes, Pace
from stream.source.plan import Anchor, CsvExport, Generated, History, Origin, SendPlan

_GENERATED = {
    "days": (int, "days of traffic"),
    "comments_per_day": (int, "comments a day, all communities together"),
    "seed": (int, "same seed, same traffic"),
    "late": (float, "share that arrives after its pane closed"),
    "duplicate": (float, "share that arrives twice"),
    "edited": (float, "share that is edited minutes later"),
    "broken": (float, "share that is no comment at all"),
    "future": (float, "share that is dated ahead of its arrival"),
}
_FIELDS = {name: f"{name}_share" for name in ("late", "duplicate", "broken", "future")} | {"edited": "edit_share"}


def main(arguments: Sequence[str]) -> None:
    """Run the source until its input is exhausted or it is told to stop; ends the process with an exit code.

    Args:
        arguments: the command line behind ``source``.
    """
    try:
        settings = load_settings()
        app = source_app(settings, plan_of(arguments, settings))
    except ModerationError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - nothing is set up to log with yet
        raise SystemExit(REFUSED) from None
    faust.Worker(app, loglevel=settings.log_level.upper(), quiet=True).execute_from_commandline()


def plan_of(arguments: Sequence[str], settings: Settings) -> SendPlan:
    """The plan a command line stands for.

    Args:
        arguments: the command line behind ``source``.
        settings: give the default state folder.

    Raises:
        ConfigurationError: an option's value makes no sense.
        SystemExit: an option is unknown, missing or excludes another; code 2, after the usage was printed.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    given = {name: getattr(options, name) for name in _GENERATED if getattr(options, name) is not None}
    if given and not options.generate:
        parser.error(f"--{next(iter(given)).replace('_', '-')} goes with --generate")
    return SendPlan(
        origin=_origin(options, given),
        state=options.state or settings.state_folder / "source",
        pace=_pace(options),
        actions=not options.no_actions,
        skip=options.skip,
        limit=options.limit,
        shift_to=None if options.shift_to is None else instant(options.shift_to),
        anchor=options.shift_anchor,
    )


def instant(text: str) -> int | Literal["now"]:
    """``now``, or an ISO time (UTC unless it says otherwise) in microseconds since the epoch.

    Raises:
        ConfigurationError: it is neither.
    """
    if text == "now":
        return "now"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError("--shift-to", f"{text!r} is neither now nor an ISO time") from error
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _origin(options: argparse.Namespace, given: dict[str, float]) -> Origin:
    if options.csv:
        return CsvExport(options.csv)
    if options.history:
        return History(options.history)
    return Generated(TrafficConfig(**{_FIELDS.get(name, name): value for name, value in given.items()}))  # type: ignore[arg-type]


def _pace(options: argparse.Namespace) -> Pace:
    if options.rate is not None:
        return AtRate(options.rate)
    return AsFastAsPossible() if options.fast else AtRecordedTimes(options.speed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stream source",
        description="Feed topics comments and actions from a recorded or generated history.",
        epilog="Started again with the same --state it goes on where it stopped.",
        allow_abbrev=False,
    )
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--csv", type=Path, metavar="FILE", help="an r/science export")
    origin.add_argument("--history", type=Path, metavar="FOLDER", help="a folder of `moderation generate`")
    origin.add_argument("--generate", action="store_true", help="generate traffic while sending")
    pace = parser.add_mutually_exclusive_group(required=True)
    pace.add_argument("--rate", type=float, metavar="N", help="records a second")
    pace.add_argument("--speed", type=float, metavar="X", help="recorded times, X times as fast")
    pace.add_argument("--fast", action="store_true", help="as fast as the broker takes them")
    parser.add_argument("--shift-to", metavar="TIME", help="move all times to `now` or to an ISO time")
    parser.add_argument(
        "--shift-anchor",
        type=Anchor,
        choices=list(Anchor),
        help="which arrival lies at that time (default: first with --speed up to 1, else last)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="send N records in all, over all runs")
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N records")
    parser.add_argument("--state", type=Path, metavar="FOLDER", help="progress and delivery report")
    parser.add_argument("--no-actions", action="store_true", help="send comments only")
    made = parser.add_argument_group("with --generate")
    for name, (kind, text) in _GENERATED.items():
        made.add_argument(f"--{name.replace('_', '-')}", type=kind, help=text)
    return parser
