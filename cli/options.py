"""Options that commands share, and the settings they resolve to."""

from __future__ import annotations

from datetime import date as Date  # noqa: N812 - `date` is the name of an option
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from moderation.settings import Settings

FolderOption = Annotated[Path, typer.Option("--data-folder", help="Folder of the local stack.")]
DEFAULT_FOLDER = Path("var")
DEMO_FOLDER = Path("var-demo")
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DAY_FORMATS = ["%Y-%m-%d"]
DateOption = Annotated[
    datetime | None,
    typer.Option("--date", formats=DAY_FORMATS, help="UTC day of event time, e.g. 2026-11-23.", show_default=False),
]
OldDateOption = Annotated[datetime | None, typer.Option("--day", formats=DAY_FORMATS, hidden=True)]
"""The former spelling of ``--date``."""


def required_date(date: datetime | None, old_date: datetime | None = None) -> Date:
    """Return the day that ``--date``, or its former spelling, names.

    Raises:
        typer.BadParameter: no day or two days are given.
    """
    day = date or old_date
    if day is None or (date is not None and old_date is not None):
        raise typer.BadParameter("give one day, e.g. 2026-11-23", param_hint="--date")
    return day.date()


def connected_settings(data_folder: Path, *, login: str = "batch") -> Settings:
    """Return the settings of the environment, or those of the local stack if the environment names no database.

    Args:
        data_folder: folder of the local stack.
        login: role that logs in to the local stack's database.

    Raises:
        ConfigurationError: a setting is malformed, or the environment names no database and the local stack is not up.
    """
    from moderation.settings import load_settings

    settings = load_settings()
    if settings.database_url is not None:
        return settings
    from local.stack.required_packages import check_packages

    check_packages()
    from local.stack import commands as stack
    from local.stack.layout import StackLayout
    from local.stack.worker import stack_settings

    layout = StackLayout(data_folder.resolve())
    stack_values = stack_settings(layout, stack.info(layout), login=login)
    if "lake_url" in settings.model_fields_set:
        return stack_values.model_copy(update={"lake_url": settings.lake_url})
    return stack_values
