"""``moderation generate``: generate realistic traffic; the same seed gives the same bytes."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.options import JsonOption
from cli.output import console, print_json, progress
from cli.output_files import check_output_folder, replaced_folder
from moderation.errors import ConfigurationError

_OPTIONS = {
    "late_share": "--late",
    "duplicate_share": "--duplicate",
    "edit_share": "--edited",
    "broken_share": "--broken",
    "future_share": "--future",
    "raid_day": "--raid-day",
    "drift_from_day": "--drift-from-day",
    "policy_change_from_day": "--policy-change-from-day",
}
"""Options by the field of the configuration that they set; the other fields have limits in the option itself."""


def generate(
    out: Annotated[Path, typer.Option(help="Folder to write: comments.jsonl, arrivals.jsonl, actions.jsonl.")],
    days: Annotated[int, typer.Option(min=1, help="Days of history.")] = 30,
    comments_per_day: Annotated[int, typer.Option(min=1, help="Comments a day, all communities together.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    late: Annotated[float, typer.Option(help="Share that arrives after its pane closed.")] = 0.0,
    duplicate: Annotated[float, typer.Option(help="Share that arrives twice.")] = 0.0,
    edited: Annotated[float, typer.Option(help="Share that is edited minutes later.")] = 0.0,
    broken: Annotated[float, typer.Option(help="Share that cannot be read as a comment.")] = 0.0,
    future: Annotated[float, typer.Option(help="Share that is dated ahead of its arrival.")] = 0.0,
    raid_day: Annotated[int | None, typer.Option(help="Day of a spam raid, from 0.")] = None,
    drift_from_day: Annotated[int | None, typer.Option(help="First day of a drifted vocabulary.")] = None,
    policy_change_from_day: Annotated[
        int | None, typer.Option(help="First day on which moderators follow other rules.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Generate traffic of several communities, removals hours later and, if asked for, faults.

    Example: `moderation generate --out history --days 7 --late 0.02`
    """
    from moderation.datasets.recorded import ARRIVALS, write_history
    from moderation.datasets.synthetic import TrafficConfig
    from moderation.datasets.synthetic import generate as arrivals

    try:
        config = TrafficConfig(
            seed=seed,
            days=days,
            comments_per_day=comments_per_day,
            late_share=late,
            duplicate_share=duplicate,
            edit_share=edited,
            broken_share=broken,
            future_share=future,
            raid_day=raid_day,
            drift_from_day=drift_from_day,
            policy_change_from_day=policy_change_from_day,
        )
    except ConfigurationError as error:
        options = " + ".join(_OPTIONS.get(field, field) for field in error.thing.split(" + "))
        raise ConfigurationError(options, error.cause, error.remedy) from error
    check_output_folder(out)
    started = time.monotonic()
    with progress.status("generating") as status, replaced_folder(out, last=(ARRIVALS,)) as folder:
        written = write_history(folder, arrivals(config), lambda count: status.update(f"{count:,} records"))
    seconds = time.monotonic() - started
    if as_json:
        print_json({**asdict(written), "seconds": round(seconds, 1)})
        return
    faults = ", ".join(f"{count:,} {kind}" for kind, count in written.injected.items()) or "no faults"
    console.print(f"{written.comments:,} comments ({faults}) and {written.actions:,} actions in {seconds:.1f} s")
    console.print(str(out), markup=False, highlight=False)
