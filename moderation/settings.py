"""Settings from the environment. docs/configuration.md documents every key; a test compares them.

Every secret can also come from a file: ``MODERATION_DATABASE_URL_FILE`` names the file with the value of
``MODERATION_DATABASE_URL``.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from moderation.database_url import verified_url
from moderation.errors import ConfigurationError
from moderation.kafka_settings import KafkaSettings
from moderation.secret_values import LEAST_TOKEN_CHARACTERS, fault_of_database_url, fault_of_token, read_secret

PREFIX = "MODERATION_"
FILE_SUFFIX = "_FILE"
"""Appended to the key of a secret, it is the key of the file that contains the secret."""


class Settings(BaseSettings, KafkaSettings):
    """Settings of the core, read from ``MODERATION_*`` environment variables.

    Build it with :func:`load_settings`, which also refuses unknown keys.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    lexicon_max_chunks: int = Field(
        default=400_000,
        ge=1_000,
        description=(
            "Distinct white-space-separated chunks whose tokens are cached (about 0.5 KB each); the least "
            "recently used are evicted. Affects speed and memory, not scores."
        ),
    )
    model_max_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Largest model file that is opened, in bytes.",
    )
    topic_prefix: str = Field(
        default="", description="Prefix of all topic names, so that installations can share brokers."
    )
    consumer_group: str = Field(default="moderation-speed", description="Kafka group of the speed layer's workers.")
    database_url: SecretStr | None = Field(
        default=None,
        description=(
            "PostgreSQL, as a libpq URL. The role of a worker is a member of `moderation_worker`, that of the batch "
            "layer of `moderation_batch`. No default: it contains a password."
        ),
    )
    database_ca_file: Path | None = Field(
        default=None,
        description=(
            "File with the certificates (PEM) of the authority that signed PostgreSQL's certificate. With it every "
            "connection uses TLS and verifies certificate and host name (`sslmode=verify-full`)."
        ),
    )
    database_durability: Literal["server", "provider"] = Field(
        default="server",
        description=(
            "`server`: the worker refuses a PostgreSQL whose `fsync` or `full_page_writes` is off. `provider`: the "
            "provider of the database guarantees by other means that no commit is lost, so both may be off. "
            "`synchronous_commit` must be on in any case."
        ),
    )
    mlflow_url: str = Field(default="http://127.0.0.1:5000", description="The MLflow server.")
    mlflow_username: str | None = Field(
        default=None,
        description=(
            "Account of the MLflow server: `batch` for the batch layer, `worker` for workers. Without it, MLflow's own "
            "`MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD` apply."
        ),
    )
    mlflow_password: SecretStr | None = Field(
        default=None, description="Password of that account. No default: it is a secret."
    )
    model_name: str = Field(default="comment-moderation", description="Name of the registered model.")
    signing_key: SecretStr | None = Field(
        default=None,
        description=(
            "Private Ed25519 key that signs model certificates: base64 of its 32-byte seed, or PEM. Only the batch "
            "layer needs it; never give it to workers. `moderation keys` creates one. No default: it is a secret."
        ),
    )
    verify_keys: str | None = Field(
        default=None,
        description=(
            "Public Ed25519 keys of model certificates in base64, separated by commas. Every program that opens "
            "models needs them. Without it, the public key of `MODERATION_SIGNING_KEY` is used."
        ),
    )
    certificate_key: SecretStr | None = Field(
        default=None,
        description=(
            "Key of certificates of the former format, at least 32 bytes. Only `moderation certify --all` uses it, to "
            "verify them before it signs them again; workers do not need it."
        ),
    )
    exploration_key: SecretStr | None = Field(
        default=None,
        description=(
            "Key of the draw that shows a random share of removals to moderators, at least 32 bytes. Several keys are "
            "separated by commas: trainings use the first, the others recompute older versions. Without it new models "
            "do not explore. No default: it is a secret."
        ),
    )
    author_key: SecretStr | None = Field(
        default=None,
        description=(
            "Key with which imports and the source turn names of authors into pseudonyms (`author_key`), at least 32 "
            "bytes. With another key the same authors have other pseudonyms. Without one, who guesses a name can "
            "compute its pseudonym. No default: it is a secret."
        ),
    )
    alias_poll_seconds: float = Field(
        default=2.0, gt=0, description="Interval at which the worker reads the alias `production`."
    )
    batch_most_records: int = Field(
        default=1_000, ge=1, le=20_000, description="Maximum number of records of one ledger transaction."
    )
    state_folder: Path = Field(
        default=Path("var/state"),
        description="Folder for files that may be lost: Faust's files, downloaded models, recomputed records.",
    )
    lake_url: str = Field(
        default="var/lake",
        min_length=1,
        description="Location of the lake: a folder or an fsspec URL, e.g. `s3://bucket/lake`.",
    )
    ledger_retry_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How long the worker retries a batch while PostgreSQL does not answer, before it ends and "
        "is restarted.",
    )
    earliest_event_date: date = Field(
        default=date(2000, 1, 1),
        description=(
            "Earliest UTC day of event times; comments with an earlier one are dead letters `past_dated`. "
            "Workers and the archive need the same value."
        ),
    )
    reconcile_horizon_days: int = Field(
        default=30,
        ge=1,
        description=(
            "Days after a day's end within which a late comment of it causes another reconciliation. Comments that "
            "come later are named and counted; `moderation reconcile --date` reconciles their days."
        ),
    )
    dead_letter_window: int = Field(
        default=1_000, ge=10, description="Number of records over which the share of dead letters is computed."
    )
    dead_letter_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description=(
            "Share of unreadable records at which the worker stops until an operator restarts it; wrong "
            "clocks do not count. Without it the worker does not stop for this."
        ),
    )
    dead_letter_run: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Consecutive unreadable records at which the worker stops until an operator restarts it. Without "
            "it the worker does not stop for this."
        ),
    )
    dead_letter_bytes_per_minute: int = Field(
        default=16 * 1024 * 1024,
        ge=0,
        description=(
            "Bytes of dead letters that a worker stores in the ledger per minute, at most 64 KiB of each. "
            "Beyond that it stores digest and length only; topic and lake have the bytes."
        ),
    )
    worker_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description=(
            "Address on which the worker's HTTP API and metrics listen. Any other than a loopback address needs "
            "`MODERATION_HTTP_TOKEN`."
        ),
    )
    http_token: SecretStr | None = Field(
        default=None,
        description=(
            "Bearer token of the worker's HTTP API and metrics, at least 16 characters. With it, requests other than "
            "`GET /health` and the plain form of `GET /ready` must send `Authorization: Bearer TOKEN`. Required if "
            "`MODERATION_WORKER_HOST` is not a loopback address. No default: it is a secret."
        ),
    )
    metrics_port: int = Field(
        default=6067, ge=0, le=65_535, description="Port of the worker's Prometheus metrics; 0 for none."
    )
    fault_points: Path | None = Field(
        default=None,
        description="For fault injection only: folder of files that name the points where the worker kills or "
        "stops itself.",
    )
    worker_web_port: int = Field(default=6066, ge=1, le=65_535, description="Port of the worker's HTTP API.")
    view_most_bytes: int = Field(
        default=256 * 1024,
        ge=1_024,
        description="Largest request body of `POST /score`, in bytes; a larger one gets status 413.",
    )
    view_requests_per_second: float = Field(
        default=20.0,
        gt=0,
        description=(
            "Requests per second to the HTTP API together, except `/health` and `/ready`, and to the metrics; further "
            "ones get status 429."
        ),
    )
    view_work_share: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description=(
            "Estimated share of a processor core that `POST /score` may use; further requests get status "
            "429. The rest is for the stream."
        ),
    )
    approver_must_differ: bool = Field(
        default=False,
        description=(
            "Four eyes: the user who triggered a run of `promote_model`, or the retraining that started it, may not "
            "approve it, and `moderation promote` is refused. Rollbacks need no approval."
        ),
    )
    overrides: Literal["allowed", "forbidden"] = Field(
        default="allowed",
        description=(
            "Whether an operator's override (`moderation override`) lets a version without certificate serve. If "
            "`forbidden`, workers and the command refuse it. Workers and the batch layer need the same value."
        ),
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that is logged."
    )

    @field_validator("database_url")
    @classmethod
    def _require_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse an address that libpq refuses, because libpq's message would repeat its password."""
        if (text := secret_text(value)) is not None and (cause := fault_of_database_url(text)):
            raise ValueError(f"{cause}; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        return value

    @field_validator("http_token")
    @classmethod
    def _require_token(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse a token that can be guessed, or that a header cannot contain."""
        if (text := secret_text(value)) is not None and (cause := fault_of_token(text)):
            raise ValueError(cause)
        return value


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address on which a server listens."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def required_http_token(settings: Settings) -> str | None:
    """Return the token of the worker's HTTP API and metrics; None if they need none.

    Raises:
        ConfigurationError: they can be reached from other machines, and there is no token.
    """
    token = secret_text(settings.http_token)
    if token is None and not is_loopback(settings.worker_host):
        key = f"{PREFIX}HTTP_TOKEN"
        raise ConfigurationError(
            key,
            f"it is not set, and {PREFIX}WORKER_HOST={settings.worker_host} lets other machines reach HTTP API and "
            "metrics",
            f"Set {key} to at least {LEAST_TOKEN_CHARACTERS} random characters, or {PREFIX}WORKER_HOST to 127.0.0.1.",
        )
    return token


def required(secret: SecretStr | None, name: str) -> str:
    """Return the value of a setting that has no default.

    Raises:
        ConfigurationError: the setting is missing.
    """
    if secret is None:
        key = PREFIX + name.upper()
        raise ConfigurationError(key, "it is not set and has no default", f"Set {key}; see docs/configuration.md.")
    return secret.get_secret_value()


def secret_text(secret: SecretStr | None) -> str | None:
    """Return the value of a secret; None if it is missing or empty."""
    return (secret.get_secret_value() or None) if secret is not None else None


def full_topic(name: str) -> str:
    """Return the full name of a topic, for DAG files: they are parsed where other settings may be absent.

    Args:
        name: without the prefix.
    """
    return os.environ.get(PREFIX + "TOPIC_PREFIX", "") + name


def secret_keys() -> tuple[str, ...]:
    """Return the keys of settings that are secrets, in the order of the fields."""
    fields = Settings.model_fields.items()
    return tuple(PREFIX + name.upper() for name, field in fields if SecretStr in get_args(field.annotation))


def load_settings() -> Settings:
    """Read the environment once, and the files that it names for secrets.

    Returns:
        The settings, immutable.

    Raises:
        ConfigurationError: a ``MODERATION_*`` variable is unknown, or its value is malformed; or the file of a secret
            is missing, unreadable, empty, or other accounts may read it; or a secret has both a value and a file.
    """
    secrets = secret_keys()
    names = {PREFIX + name.upper() for name in Settings.model_fields}
    files = {key + FILE_SUFFIX: key for key in secrets}
    unknown = sorted(key for key in os.environ if key.startswith(PREFIX) and key not in names | files.keys())
    if unknown:
        raise ConfigurationError(
            ", ".join(unknown),
            "no such setting",
            f"The settings are {', '.join(sorted(names))}; secrets also end in {FILE_SUFFIX}; see "
            "docs/configuration.md.",
        )
    from_files = _secrets_of_files({key: os.environ[file] for file, key in files.items() if os.environ.get(file)})
    try:
        settings = Settings(**from_files)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = PREFIX + str(first["loc"][0]).upper()
        # Without the cause, whose traceback could show values.
        raise ConfigurationError(
            key, str(first["msg"]).removeprefix("Value error, "), "Fix the value; see docs/configuration.md."
        ) from None
    if settings.database_url is None or settings.database_ca_file is None:
        return settings
    url = verified_url(settings.database_url.get_secret_value(), settings.database_ca_file)
    return settings.model_copy(update={"database_url": SecretStr(url)})


def _secrets_of_files(paths: Mapping[str, str]) -> dict[str, Any]:
    """Read secrets, given the path of the file of each key; return them by the names of their fields."""
    both = [key for key in paths if os.environ.get(key)]
    if both:
        key = both[0]
        raise ConfigurationError(
            f"{key} and {key}{FILE_SUFFIX}", "both are set", f"Keep one of them: the value in {key} or the file."
        )
    return {key.removeprefix(PREFIX).lower(): read_secret(Path(path), key + FILE_SUFFIX) for key, path in paths.items()}
