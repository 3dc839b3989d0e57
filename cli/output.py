"""Output of commands: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console

if TYPE_CHECKING:
    from moderation.policy import Estimate, Policy

_LOG_COLUMNS = 240
"""Width where there is no terminal: of a log, a file or a pipe."""


class _Results(Console):
    """Standard output; a reader that closes it is an error with a message."""

    def on_broken_pipe(self) -> None:
        from cli.output_files import closed_stdout

        raise closed_stdout()


def console_for(kind: type[Console] = Console, *, stderr: bool = False) -> Console:
    """Return a console with the width of its terminal; without a terminal rich assumes 80 columns and breaks lines."""
    out = kind(stderr=stderr)
    return out if out.is_terminal else kind(stderr=stderr, width=_LOG_COLUMNS)


console = console_for(_Results)
progress = console_for(stderr=True)


def json_bytes(fields: dict[str, Any]) -> bytes:
    """Return fields as an indented JSON document."""
    return orjson.dumps(fields, option=orjson.OPT_INDENT_2) + b"\n"


def print_json(fields: dict[str, Any]) -> None:
    """Print one JSON object on one line."""
    from cli.output_files import write_stdout

    sys.stdout.flush()
    write_stdout(orjson.dumps(fields) + b"\n")


def print_line(line: str) -> None:
    """Print one line of text on standard output, without markup, colours or line breaks of its own."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def percent(estimate: Estimate | None) -> str:
    """Format a share with its 95 % interval, e.g. ``91.2 % (88.0–93.7)``; ``–`` for None."""
    if estimate is None:
        return "–"
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"


def threshold(ppm: int) -> str:
    """Format a threshold in parts per million, or ``never``."""
    from moderation.policy.policy import NEVER_PPM

    return "never" if ppm >= NEVER_PPM else f"{ppm:,} ppm"


def policy_fields(policy: Policy) -> dict[str, Any]:
    """Return a policy as JSON fields."""
    return {"policy_version": policy.policy_version, **asdict(policy)}


def printable(text: str) -> str:
    """Escape control characters and marks of writing direction, so that the text is safe on a terminal."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def utc(time_us: int) -> str:
    """Format microseconds since the epoch as a UTC time without the zone."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    return moment.strftime("%Y-%m-%d %H:%M:%S")
