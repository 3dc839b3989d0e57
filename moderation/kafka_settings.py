"""Settings of the connection to Kafka and of the topics. Contradictions are refused by the name of the setting."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from moderation.errors import ConfigurationError

SecurityProtocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
_PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
_SCHEME = re.compile(r"([a-z_]+)://", re.IGNORECASE)
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-f:.%]+\]|[a-z0-9._-]+):(?P<port>\d+)", re.IGNORECASE)
_TLS_FIELDS = ("kafka_ca_file", "kafka_certificate_file", "kafka_key_file", "kafka_key_password")
_OAUTH_FIELDS = ("kafka_oauth_endpoint", "kafka_oauth_client_id", "kafka_oauth_client_secret")
_SEE = "See docs/kafka.md."


def key_of(field: str) -> str:
    """Return the environment variable of a field, e.g. ``MODERATION_KAFKA_PASSWORD``."""
    return f"MODERATION_{field.upper()}"


class KafkaSettings(BaseModel):
    """How to connect to Kafka, and what the topics must have.

    Raises:
        ConfigurationError: settings contradict each other, or a file is missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka_security_protocol: SecurityProtocol = Field(
        default="plaintext",
        description=(
            "How to connect to Kafka: `plaintext`, `ssl` (TLS), `sasl_plaintext` (with an account) or `sasl_ssl` (TLS "
            "with an account). See [Kafka](kafka.md)."
        ),
    )
    kafka_bootstrap: str = Field(
        default="127.0.0.1:9092",
        description="Kafka's addresses, `host:port`, separated by commas. Spaces and schemes are removed.",
    )
    kafka_sasl_mechanism: SaslMechanism | None = Field(
        default=None,
        description="How to log in with SASL: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`.",
    )
    kafka_username: str | None = Field(default=None, description="Account for `PLAIN` and `SCRAM`.")
    kafka_password: SecretStr | None = Field(default=None, description="Password of that account.")
    kafka_ca_file: Path | None = Field(
        default=None,
        description="File with the certificates (PEM) of the authorities that brokers' certificates must be signed by. "
        "Without it, the authorities that the system trusts.",
    )
    kafka_certificate_file: Path | None = Field(
        default=None, description="File with the client's certificate (PEM) for mutual TLS, and those that signed it."
    )
    kafka_key_file: Path | None = Field(
        default=None, description="File with the private key (PEM) of the client's certificate."
    )
    kafka_key_password: SecretStr | None = Field(default=None, description="Password of the private key, if any.")
    kafka_verify_hostname: bool = Field(
        default=True,
        description="Whether a broker's certificate must name the host that is connected to. Certificates are verified "
        "in any case.",
    )
    kafka_oauth_endpoint: str | None = Field(
        default=None, description="URL that issues tokens for `OAUTHBEARER` (OAuth 2.0, client credentials)."
    )
    kafka_oauth_client_id: str | None = Field(default=None, description="Client id for that URL.")
    kafka_oauth_client_secret: SecretStr | None = Field(default=None, description="Client secret for that URL.")
    kafka_oauth_scope: str | None = Field(default=None, description="Scope of the tokens, if the issuer needs one.")
    topic_partitions: int = Field(
        default=4,
        ge=1,
        description="Partitions with which `moderation topics` creates the topics that workers share; existing topics "
        "need at least as many.",
    )
    topic_replication: int = Field(
        default=1,
        ge=1,
        le=32_767,
        description="Replicas of each partition of created topics; existing topics need at least as many.",
    )
    topic_retention_hours: int = Field(
        default=168,
        ge=24,
        le=24 * 365 * 100,
        description="Hours that created topics keep records; existing topics need at least as many. The archive must "
        "read records within this time.",
    )
    kafka_worker_principal: str | None = Field(
        default=None,
        description="Kafka principal of workers, e.g. `User:moderation-worker`. `moderation topics` grants the named "
        "principals the permissions of [Kafka](kafka.md#permissions), and checks them.",
    )
    kafka_source_principal: str | None = Field(
        default=None, description="Kafka principal of producers of comments and actions."
    )
    kafka_batch_principal: str | None = Field(default=None, description="Kafka principal of Airflow's tasks.")
    kafka_operator_principal: str | None = Field(
        default=None, description="Kafka principal of `moderation topics` and of the commands of operators."
    )
    kafka_reader_principal: str | None = Field(
        default=None, description="Kafka principal of consumers of decisions, alerts and panes."
    )

    @field_validator("kafka_security_protocol", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("kafka_sasl_mechanism", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return (value.strip().upper() or None) if isinstance(value, str) else value

    @field_validator(
        "kafka_username",
        "kafka_password",
        *_TLS_FIELDS,
        *_OAUTH_FIELDS,
        "kafka_oauth_scope",
        *(f"kafka_{role}_principal" for role in ("worker", "source", "batch", "operator", "reader")),
        mode="before",
    )
    @classmethod
    def _none_if_empty(cls, value: object) -> object:
        """Compose files and charts pass an empty text for what is not set."""
        return None if value == "" else value

    @field_validator("kafka_bootstrap")
    @classmethod
    def _clean_addresses(cls, value: str, info: ValidationInfo) -> str:
        return clean_addresses(value, info.data.get("kafka_security_protocol"))

    @field_validator("kafka_oauth_endpoint")
    @classmethod
    def _require_url(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
            raise ValueError("it is no http or https URL without a user")
        return value

    @field_validator(*(f"kafka_{role}_principal" for role in ("worker", "source", "batch", "operator", "reader")))
    @classmethod
    def _require_principal(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"User:(?!\*$)\S.*", value):
            raise ValueError("it is no principal of one user, e.g. User:moderation-worker or User:CN=moderation-worker")
        return value

    @model_validator(mode="after")
    def _require_consistency(self) -> Self:
        self._check_sasl()
        self._check_tls()
        return self

    @property
    def uses_sasl(self) -> bool:
        """Whether the client logs in with SASL."""
        return self.kafka_security_protocol.startswith("sasl_")

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.kafka_security_protocol.endswith("ssl")

    def _check_sasl(self) -> None:
        protocol = f"{key_of('kafka_security_protocol')} is {self.kafka_security_protocol}"
        account, oauth = ("kafka_username", "kafka_password"), (*_OAUTH_FIELDS, "kafka_oauth_scope")
        if not self.uses_sasl:
            self._refuse_set(
                ("kafka_sasl_mechanism", *account, *oauth),
                f"it is set, but {protocol}, which has no SASL",
                f"Set {key_of('kafka_security_protocol')} to sasl_ssl, or remove it.",
            )
            return
        if self.kafka_sasl_mechanism is None:
            cause = f"it is not set, but {protocol}"
            remedy = f"Set it to PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, as the brokers demand. {_SEE}"
            raise ConfigurationError(key_of("kafka_sasl_mechanism"), cause, remedy)
        mechanism = f"{key_of('kafka_sasl_mechanism')} is {self.kafka_sasl_mechanism}"
        needed, foreign = (_OAUTH_FIELDS, account) if self.kafka_sasl_mechanism == "OAUTHBEARER" else (account, oauth)
        self._refuse_set(foreign, f"it is set, but {mechanism}, which does not use it", f"Remove it. {_SEE}")
        for field in needed:
            if getattr(self, field) is None:
                raise ConfigurationError(key_of(field), f"it is not set, but {mechanism}", f"Set it. {_SEE}")

    def _check_tls(self) -> None:
        if not self.uses_tls:
            protocol = f"{key_of('kafka_security_protocol')} is {self.kafka_security_protocol}"
            remedy = f"Set {key_of('kafka_security_protocol')} to ssl or sasl_ssl, or remove it."
            self._refuse_set(_TLS_FIELDS, f"it is set, but {protocol}, which has no TLS", remedy)
            return
        pairs = (
            ("kafka_certificate_file", "kafka_key_file"),
            ("kafka_key_file", "kafka_certificate_file"),
            ("kafka_key_password", "kafka_key_file"),
        )
        for field, partner in pairs:
            if getattr(self, field) is not None and getattr(self, partner) is None:
                cause, remedy = f"it is set, but {key_of(partner)} is not", f"Set both or neither. {_SEE}"
                raise ConfigurationError(key_of(field), cause, remedy)
        for field in _TLS_FIELDS[:3]:
            path: Path | None = getattr(self, field)
            if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
                cause = f"{path} is not readable" if path.is_file() else f"there is no file {path}"
                raise ConfigurationError(key_of(field), cause, "Set the path of a PEM file that this process may read.")

    def _refuse_set(self, fields: tuple[str, ...], cause: str, remedy: str) -> None:
        for field in fields:
            if getattr(self, field) is not None:
                raise ConfigurationError(key_of(field), cause, remedy)


def clean_addresses(text: str, protocol: str | None) -> str:
    """Return addresses of brokers as ``host:port`` separated by commas, without spaces, schemes and repetitions.

    Args:
        text: addresses, separated by commas, each with or without a scheme like ``SASL_SSL://``.
        protocol: the security protocol, with which schemes must agree; None if it is malformed.

    Raises:
        ValueError: an address has no port, an impossible one, or a scheme that contradicts the protocol.
    """
    addresses: dict[str, None] = {}
    for part in (each.strip() for each in text.split(",")):
        if not part:
            continue
        address = part
        if (scheme := _SCHEME.match(part)) is not None:
            address, name = part[scheme.end() :].rstrip("/"), scheme[1].lower()
            if name not in ("kafka", *_PROTOCOLS):
                raise ValueError(f"{scheme[1]}:// is no scheme of Kafka")
            if name != "kafka" and protocol is not None and name != protocol:
                raise ValueError(f"its scheme is {scheme[1]}, but {key_of('kafka_security_protocol')} is {protocol}")
        if "@" in address:
            raise ValueError(f"it contains a user; set {key_of('kafka_username')} and {key_of('kafka_password')}")
        if (match := _ADDRESS.fullmatch(address)) is None:
            raise ValueError(f"{address!r} is not host:port")
        if not 1 <= int(match["port"]) <= 65_535:
            raise ValueError(f"{match['port']} in {address!r} is no port")
        addresses[f"{match['host']}:{int(match['port'])}"] = None
    if not addresses:
        raise ValueError("it contains no address")
    return ",".join(addresses)
