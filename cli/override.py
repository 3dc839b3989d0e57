"""``moderation override``: let a version without certificate serve for some hours."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, utc

_MOST_HOURS = 168  # seven days, see moderation.adapters.override


def override(
    version: Annotated[str, typer.Argument(help="Number of a version without certificate.")],
    reason: Annotated[str, typer.Option(help="Reason; workers log it, and the ledger stores it.")] = "",
    hours: Annotated[
        float | None, typer.Option(min=0.02, max=_MOST_HOURS, help="How long it may serve, in hours.")
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="Remove the override.")] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Let a version without certificate serve until an end, at most seven days ahead; or remove that override.

    It sets tag `moderation.override` of the version; move the alias `production` in MLflow afterwards. After the end,
    workers go back to the last certified version. An override is no certificate: the version cannot be promoted.
    MODERATION_OVERRIDES=forbidden forbids it. Repeat the command to extend an override.

    Example: `moderation override 7 --reason "ticket 12: the gate is broken" --hours 6`

    Example: `moderation override 7 --end`

    --json prints {"version", "reason": str|null, "until_us": int|null}; null without an override.
    """
    from moderation.adapters.override import FORBIDDEN, MOST_REASON_CHARACTERS, Override
    from moderation.bootstrap import registry
    from moderation.errors import ConfigurationError
    from moderation.timestamps import HOUR_US, MINUTE_US, now_us

    reason = " ".join(reason.split())
    if not end and (not reason or hours is None):
        raise typer.BadParameter("give --reason and --hours, or --end", param_hint="--reason, --hours")
    if len(reason) > MOST_REASON_CHARACTERS or not reason.isprintable():
        limit = f"it has at most {MOST_REASON_CHARACTERS:,} characters, all of them printable"
        raise typer.BadParameter(limit, param_hint="--reason")
    settings = connected_settings(data_folder)
    models = registry(settings)
    target = models.version(version)
    if end or hours is None:
        removed = models.end_override(target)
        if as_json:
            print_json({"version": target.version, "reason": None, "until_us": None})
        else:
            console.print(f"version {target.version} {'has' if removed else 'had'} no override{' any more' * removed}")
        return
    if settings.overrides == "forbidden":
        raise ConfigurationError(
            f"override of {target}", FORBIDDEN, "Let the gate judge the version: `moderation gate`."
        )
    until_us = now_us() + round(hours * HOUR_US)
    allowed = Override(reason, until_us - until_us % MINUTE_US)
    models.set_override(target, allowed)
    if as_json:
        print_json({"version": target.version, "reason": allowed.reason, "until_us": allowed.until_us})
    else:
        until = utc(allowed.until_us)
        console.print(f"version {target.version} may serve without certificate until {until}", highlight=False)
