"""Which servers a command talks to: those of the environment, or else the local stack's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moderation.settings import Settings


def connected_settings(data_folder: Path) -> Settings:
    """The settings of the environment; where it names no database, those of the local stack.

    Args:
        data_folder: of the local stack.

    Raises:
        ConfigurationError: the environment is malformed, or it names no database and the stack is not up.
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
    stack_values = stack_settings(layout, stack.info(layout))
    if "lake_url" in settings.model_fields_set:
        return stack_values.model_copy(update={"lake_url": settings.lake_url})
    return stack_values
