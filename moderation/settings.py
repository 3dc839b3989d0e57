"""The only reader of the environment. Every key is documented in docs/configuration.md, and a test compares."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from moderation.errors import ConfigurationError

PREFIX = "MODERATION_"


class Settings(BaseSettings):
    """Settings of the core, read from ``MODERATION_*`` environment variables.

    Build it with :func:`load_settings`, which also refuses unknown keys.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    lexicon_max_chunks: int = Field(
        default=400_000,
        ge=1_000,
        description="Distinct white-space-separated chunks whose tokens are remembered (about 0.5 KB each); "
        "past it the half not used for longest is forgotten. Changes speed and memory, never a score.",
    )
    model_max_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Largest model artifact that is opened, in bytes.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe message written to the log."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="Log lines for people (console) or for machines (json)."
    )


def load_settings() -> Settings:
    """Read the environment once.

    Returns:
        The settings, immutable.

    Raises:
        ConfigurationError: a ``MODERATION_*`` variable is unknown, or its value is malformed.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(key for key in os.environ if key.startswith(PREFIX) and key not in known)
    if unknown:
        raise ConfigurationError(
            ", ".join(unknown), "no such setting", f"Known are {', '.join(sorted(known))}; see docs/configuration.md."
        )
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        key = PREFIX + str(first["loc"][0]).upper()
        raise ConfigurationError(key, str(first["msg"]), "Mend the value; see docs/configuration.md.") from error
