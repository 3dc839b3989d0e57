"""``moderation retire``: drop the decisions of old append days; with --yes, and only of days that are final."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DAY_FORMATS, DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import print_json, print_line
from stream.exit_codes import REPORTED

if TYPE_CHECKING:
    from moderation.adapters.sql.retirement import AppendDay


def retire(
    before: Annotated[datetime, typer.Option(formats=DAY_FORMATS, help="UTC; the first append day that stays.")],
    yes: Annotated[bool, typer.Option("--yes", help="Drop the decisions. Without it, they are only listed.")] = False,
    reason: Annotated[str, typer.Option(help="Why; stored with each day.")] = "none given",
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """List the append days before a day whose decisions may be dropped; with --yes drop them from speed.decisions.

    An append day is dropped only if every day of event time of which it has decisions is final and has no new records.
    These days are frozen: they keep the results of their last reconciliation, and comments that still come for them are
    counted and named, not reconciled. Panes, dead letters and the lake keep everything. Workers wait at most a second
    for each day. The exit code is 1 if an append day cannot be dropped, or if --yes is missing. The role of
    MODERATION_DATABASE_URL must be a member of moderation_retention, or own the tables.

    Example: `moderation retire --before 2026-11-01 --yes --reason "a week is kept"`

    --json prints {"append_days": [{"day", "rows", "event_days": [{"topic", "day"}], "open_days": [{"topic", "day"}],
    "retired": bool}]}. "open_days" are days that must be reconciled first.
    """
    if "\0" in reason:
        raise typer.BadParameter("the reason contains a NUL character", param_hint="--reason")
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.retirement import find_append_days
    from moderation.adapters.sql.retirement import retire as retire_day
    from moderation.settings import required

    settings = connected_settings(data_folder, login="retention")
    with connected(required(settings.database_url, "database_url"), name="moderation retire") as connection:
        append_days = find_append_days(connection, before.date(), settings.reconcile_horizon_days)
        retired = [each for each in append_days if yes and not each.open_days]
        for each in retired:
            retire_day(connection, each, reason)
    if as_json:
        print_json({"append_days": [_fields(each, is_retired=each in retired) for each in append_days]})
    else:
        for each in append_days:
            print_line(_line(each, is_retired=each in retired))
        if not append_days:
            print_line(f"there are no decisions of append days before {before.date()}")
        elif not yes:
            print_line("nothing was changed; `moderation retire --yes` drops the days that can be dropped")
    if len(retired) < len(append_days):
        raise typer.Exit(REPORTED)


def _fields(append_day: AppendDay, *, is_retired: bool) -> dict[str, Any]:
    named = {
        name: [{"topic": topic, "day": day.isoformat()} for topic, day in days]
        for name, days in (("event_days", append_day.event_days), ("open_days", append_day.open_days))
    }
    return {"day": append_day.day.isoformat(), "rows": append_day.rows, **named, "retired": is_retired}


def _line(append_day: AppendDay, *, is_retired: bool) -> str:
    what = f"{append_day.day}: {append_day.rows:,} decisions of {len(append_day.event_days)} days"
    if append_day.open_days:
        named = ", ".join(f"{day} of {topic}" for topic, day in append_day.open_days[:3])
        more = len(append_day.open_days) - 3
        return f"{what} stay: reconcile {named}{f' and {more} more' if more > 0 else ''} first"
    return f"{what} {'were dropped' if is_retired else 'can be dropped'}"
