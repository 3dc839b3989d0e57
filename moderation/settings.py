"""The only reader of the environment. Every key is documented in docs/configuration.md, and a test compares."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
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
        "past it those not used for longest are forgotten. Changes speed and memory, never a score.",
    )
    model_max_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Largest model artifact that is opened, in bytes.",
    )
    kafka_bootstrap: str = Field(default="127.0.0.1:9092", description="Kafka's addresses, separated by commas.")
    topic_prefix: str = Field(
        default="", description="Put before every topic's name, so that systems can share a broker."
    )
    consumer_group: str = Field(default="moderation-speed", description="Kafka group of the speed layer's workers.")
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL, as a libpq URL. No default: it holds a password."
    )
    mlflow_url: str = Field(default="http://127.0.0.1:5000", description="The MLflow server.")
    model_name: str = Field(default="comment-moderation", description="Name of the registered model.")
    certificate_key: SecretStr | None = Field(
        default=None,
        description="Key that model certificates are signed with, at least 32 bytes. No default: it is a secret.",
    )
    alias_poll_seconds: float = Field(
        default=2.0, gt=0, description="How often the worker looks where the alias `production` points."
    )
    batch_most_records: int = Field(
        default=1_000, ge=1, le=20_000, description="Records of one ledger transaction, at most; fewer when fewer wait."
    )
    state_folder: Path = Field(
        default=Path("var/state"), description="Folder for what may be lost: Faust's own files, downloaded models."
    )
    lake_url: str = Field(
        default="var/lake",
        min_length=1,
        description="Where the lake lies: a folder, or an address that fsspec knows, e.g. `s3://bucket/lake`.",
    )
    ledger_retry_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How long a batch is tried again while PostgreSQL does not answer, before the worker ends and is "
        "started again.",
    )
    earliest_event_date: date = Field(
        default=date(2000, 1, 1),
        description="UTC day before which no comment was written: earlier event times are dead letters `past_dated`. "
        "Workers and the archive need the same value.",
    )
    dead_letter_window: int = Field(
        default=1_000, ge=10, description="Records that the share of dead letters is taken over."
    )
    dead_letter_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of unreadable records at which the worker stops until a person starts it again; wrong "
        "clocks do not count. Without it the worker never stops for that.",
    )
    dead_letter_run: int | None = Field(
        default=None,
        ge=1,
        description="Unreadable records in a row at which the worker stops until a person starts it again. Without it "
        "the worker never stops for that.",
    )
    dead_letter_bytes_per_minute: int = Field(
        default=16 * 1024 * 1024,
        ge=0,
        description="Bytes of dead letters that a worker keeps in the ledger in a minute, 64 KiB of each at most. "
        "Beyond that a dead letter keeps digest and length; topic and lake have the bytes.",
    )
    worker_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address that the worker's web views and metrics listen on. They ask nobody for a password: "
        "`0.0.0.0` belongs in a container whose network lets in who may see them.",
    )
    metrics_port: int = Field(
        default=6067, ge=0, le=65_535, description="Port of the worker's Prometheus metrics; 0 for none."
    )
    fault_points: Path | None = Field(
        default=None, description="For chaos only: folder of files that name where the worker kills or stops itself."
    )
    worker_web_port: int = Field(default=6066, ge=1, le=65_535, description="Port of the worker's web views.")
    view_most_bytes: int = Field(
        default=256 * 1024, ge=1_024, description="Largest body of a request to `POST /score`, in bytes; else 413."
    )
    view_requests_per_second: float = Field(
        default=20.0, gt=0, description="Requests a second to `/score` and `/windows` together; else 429."
    )
    view_work_share: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Share of a processor core that `POST /score` may use, by an estimate; else 429. The rest is the "
        "stream's.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe message written to the log."
    )


def required(secret: SecretStr | None, name: str) -> str:
    """The value of a setting that has no default.

    Raises:
        ConfigurationError: it is not set.
    """
    if secret is None:
        key = PREFIX + name.upper()
        raise ConfigurationError(key, "it is not set and has no default", f"Set {key}; see docs/configuration.md.")
    return secret.get_secret_value()


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
