"""``moderation replay`` and ``moderation source``: send recorded or generated traffic to the topics."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress
from stream.source_options import with_source_options, words_of

if TYPE_CHECKING:
    from stream.source import SendResult


@with_source_options
def replay(
    options: Mapping[str, Any],
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Send traffic from this process and wait for every acknowledgement. A repeated run continues where it stopped.

    Example: `moderation replay --generate --days 2 --fast`

    Example: `moderation replay --csv export.csv --rate 200 --shift-to now`

    --json prints {"comments", "actions", "refused", "resumed_after", "seconds"}.
    """
    from stream.source import send_all
    from stream.source.cli import plan_from

    settings = connected_settings(data_folder)
    plan = plan_from(options, settings)
    with progress.status("sending") as status:

        def show(sent: SendResult) -> None:
            status.update(f"{sent.comments:,} comments and {sent.actions:,} actions")

        sent = send_all(settings, plan, show)
    if as_json:
        print_json(
            {
                "comments": sent.comments,
                "actions": sent.actions,
                "refused": len(sent.refused),
                "resumed_after": sent.resumed_after,
                "seconds": round(sent.seconds, 2),
            }
        )
        return
    for refused in sent.refused:
        progress.print(f"refused: {refused}", markup=False)
    console.print(f"{sent.comments:,} comments and {sent.actions:,} actions in {sent.seconds:.1f} s")


@with_source_options
def source(options: Mapping[str, Any], data_folder: FolderOption = DEFAULT_FOLDER) -> None:
    """Run the source as a process of its own, a Faust app on a timer. Ctrl-C ends it cleanly.

    Example: `moderation source --history history --speed 1 --shift-to now`
    """
    from local.stack.environment import inherited_environment
    from local.stack.worker import settings_environment

    settings = connected_settings(data_folder)
    command = [sys.executable, "-P", "-m", "stream", "source", *words_of(options)]
    environment = {**inherited_environment(), **settings_environment(settings)}
    with subprocess.Popen(command, env=environment) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = process.wait()
    raise typer.Exit(code)
