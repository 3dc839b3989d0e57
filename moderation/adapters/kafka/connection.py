"""The connection to Kafka, and the form of it that each client needs. No client is created without it.

The connection is described by librdkafka's names, because Airflow's Kafka connection has the same. Arguments of
aiokafka are derived from them, and from these Faust's credentials (``stream/faust_app.py``).

No client creates a topic by asking for it, though brokers allow that by default: a topic that was deleted would come
back with other settings and fewer partitions. ``moderation topics`` creates them.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiokafka.client
from aiokafka.helpers import create_ssl_context
from aiokafka.protocol.metadata import MetadataRequest

from moderation.adapters.kafka.oauth_token import TokenProvider
from moderation.errors import ConfigurationError
from moderation.kafka_settings import KafkaSettings, clean_addresses, key_of

ARCHIVE_GROUP = "moderation-archive"
"""Consumer group of Airflow's connection; only the trigger for topic ``retrain-requests`` joins it."""
_BOOTSTRAP = "bootstrap.servers"
_CHECK_NAME, _VERIFY = "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification"
_METHOD = "sasl.oauthbearer.method"
_FIELDS = {
    _BOOTSTRAP: "kafka_bootstrap",
    "security.protocol": "kafka_security_protocol",
    "sasl.mechanism": "kafka_sasl_mechanism",
    "sasl.username": "kafka_username",
    "sasl.password": "kafka_password",
    "ssl.ca.location": "kafka_ca_file",
    "ssl.certificate.location": "kafka_certificate_file",
    "ssl.key.location": "kafka_key_file",
    "ssl.key.password": "kafka_key_password",
    _CHECK_NAME: "kafka_verify_hostname",
    "sasl.oauthbearer.token.endpoint.url": "kafka_oauth_endpoint",
    "sasl.oauthbearer.client.id": "kafka_oauth_client_id",
    "sasl.oauthbearer.client.secret": "kafka_oauth_client_secret",
    "sasl.oauthbearer.scope": "kafka_oauth_scope",
}
"""The project's setting for each setting of librdkafka."""
_PLAIN = {
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "client.id": "client_id",
}
_TLS = {
    "ssl.ca.location": "cafile",
    "ssl.ca.pem": "cadata",
    "ssl.certificate.location": "certfile",
    "ssl.key.location": "keyfile",
    "ssl.key.password": "password",
}
_SECURING = ("ssl.", "sasl.", "security.")
_SUPPORTED = {*_FIELDS, *_PLAIN, *_TLS, _VERIFY, _METHOD}
_OF_CONNECTIONS = ("client.", "broker.address.", "socket.", "reconnect.", "https.", "log_level")
_NO_CREATION = {"allow.auto.create.topics": False}
_MECHANISMS_WITH_ACCOUNT = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


# aiokafka has no setting for it.
aiokafka.client.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Addresses of brokers, encryption and account.

    Attributes:
        configuration: settings by librdkafka's names, without those of groups and offsets; contains secrets.
        airflow_name: name of the Airflow connection that they come from; empty for the project's settings.
    """

    configuration: Mapping[str, Any] = field(repr=False)
    airflow_name: str = ""

    @classmethod
    def plaintext(cls, bootstrap: str) -> Self:
        """Return an unencrypted connection without an account, as the local stack's.

        Args:
            bootstrap: ``host:port`` of brokers, separated by commas.
        """
        return cls({_BOOTSTRAP: bootstrap})

    @property
    def bootstrap(self) -> str:
        """Addresses of brokers, ``host:port`` separated by commas."""
        return str(self.configuration[_BOOTSTRAP])

    @property
    def protocol(self) -> str:
        """Security protocol in lower case, e.g. ``sasl_ssl``."""
        return str(self.configuration.get("security.protocol", "plaintext")).lower()

    @property
    def mechanism(self) -> str:
        """SASL mechanism, e.g. ``SCRAM-SHA-512``; empty without SASL."""
        return str(self.configuration.get("sasl.mechanism", "")) if self.protocol.startswith("sasl") else ""

    def setting(self, name: str) -> str:
        """Return what an operator has to change for a setting of librdkafka, for messages.

        Args:
            name: e.g. ``sasl.password``.
        """
        if self.airflow_name:
            return f"{name} of Airflow's connection {self.airflow_name}"
        return key_of(_FIELDS[name]) if name in _FIELDS else name

    def with_settings(self, further: Mapping[str, Any]) -> KafkaConnection:
        """Return the connection with further settings of librdkafka, e.g. pauses between attempts to connect."""
        return KafkaConnection({**self.configuration, **further}, self.airflow_name)

    def librdkafka(self, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the configuration of a client of confluent_kafka.

        Args:
            defaults: settings of this client; those of the connection take precedence.
        """
        return {**_NO_CREATION, **(defaults or {}), **self.configuration}

    def aiokafka(self) -> dict[str, Any]:
        """Return the arguments of a client of aiokafka.

        Raises:
            ConfigurationError: a certificate or a key cannot be read.
        """
        return {"bootstrap_servers": self.bootstrap, **self.aiokafka_security()}

    def aiokafka_security(self) -> dict[str, Any]:
        """Return the arguments of aiokafka without the addresses.

        Raises:
            ConfigurationError: a certificate or a key cannot be read.
        """
        given = self.configuration
        arguments = {ours: given[name] for name, ours in _PLAIN.items() if name in given}
        if self.protocol.endswith("ssl"):
            arguments["ssl_context"] = self._ssl_context()
        if self.mechanism == "OAUTHBEARER":
            arguments["sasl_oauth_token_provider"] = self.token_provider()
        return {"security_protocol": self.protocol.upper(), **arguments}

    def airflow_extra(self) -> dict[str, Any]:
        """Return ``extra`` of Airflow's Kafka connection, which tasks and triggers of the DAGs use."""
        return {
            **self.configuration,
            "group.id": ARCHIVE_GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # includes requests that were sent before the triggerer started
        }

    def token_provider(self) -> TokenProvider:
        """Return what requests tokens for OAUTHBEARER."""
        given, prefix = self.configuration, "sasl.oauthbearer."
        endpoint, secret = f"{prefix}token.endpoint.url", f"{prefix}client.secret"
        return TokenProvider(
            str(given[endpoint]),
            str(given[f"{prefix}client.id"]),
            str(given[secret]),
            given.get(f"{prefix}scope"),
            (self.setting(endpoint), self.setting(secret)),
        )

    def _ssl_context(self) -> ssl.SSLContext:
        given = self.configuration
        try:
            context: ssl.SSLContext = create_ssl_context(
                cafile=given.get("ssl.ca.location"), cadata=given.get("ssl.ca.pem")
            )
        except (OSError, ValueError) as error:
            name = next((each for each in ("ssl.ca.location", "ssl.ca.pem") if each in given), "ssl.ca.location")
            raise self._unreadable(name, error) from error
        if (certificate := given.get("ssl.certificate.location")) is not None:
            # Without a function OpenSSL would ask at the terminal for the password of an encrypted key.
            password = str(given.get("ssl.key.password", ""))
            try:
                context.load_cert_chain(certificate, given.get("ssl.key.location"), lambda: password)
            except (OSError, ValueError) as error:
                raise self._unreadable(self._unreadable_part(error), error) from error
        context.check_hostname = str(given.get(_CHECK_NAME, "https")).lower() != "none"
        if str(given.get(_VERIFY, "true")).lower() == "false":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def _unreadable_part(self, error: Exception) -> str:
        """Return which setting is wrong: certificate and key are loaded by one call."""
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            return "ssl.key.location"
        try:
            ssl.create_default_context().load_verify_locations(self.configuration["ssl.certificate.location"])
        except (OSError, ValueError):
            return "ssl.certificate.location"
        key = Path(str(self.configuration["ssl.key.location"])).read_text(encoding="utf-8", errors="replace")
        return "ssl.key.password" if "ENCRYPTED" in key else "ssl.key.location"

    def _unreadable(self, name: str, error: Exception) -> ConfigurationError:
        value = "" if name.endswith((".password", ".pem")) else f"{self.configuration.get(name)}: "
        causes = {
            "ssl.ca.location": "no certificate (PEM) can be read from it",
            "ssl.ca.pem": "it contains no certificate (PEM)",
            "ssl.certificate.location": "no certificate (PEM) can be read from it",
            "ssl.key.location": "it is not the private key (PEM) of the certificate",
            "ssl.key.password": "the private key cannot be decrypted with it",
        }
        return ConfigurationError(self.setting(name), f"{value}{causes[name]} ({error})", "See docs/kafka.md.")


def kafka_of(settings: KafkaSettings, airflow: Mapping[str, Any] | None = None) -> KafkaConnection:
    """Return the connection that the settings, or an Airflow connection, describe.

    Args:
        settings: of the project.
        airflow: ``extra`` of Airflow's Kafka connection, by librdkafka's names; it replaces the settings. Its settings
            of groups and offsets are left out.

    Raises:
        ConfigurationError: a security setting of the Airflow connection is unknown, or its addresses are malformed.
    """
    if airflow is not None:
        return _of_airflow(airflow, settings.kafka_bootstrap)
    values: dict[str, Any] = {}
    for name, field_name in _FIELDS.items():
        value = getattr(settings, field_name)
        if value is None or field_name == "kafka_verify_hostname":
            continue
        values[name] = value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        values[_METHOD] = "oidc"
    if settings.uses_tls:
        values[_CHECK_NAME] = "https" if settings.kafka_verify_hostname else "none"
    return KafkaConnection(values)


def _of_airflow(extra: Mapping[str, Any], bootstrap: str) -> KafkaConnection:
    name = "kafka_default"
    given = {"sasl.mechanism" if each == "sasl.mechanisms" else each: value for each, value in extra.items()}
    unknown = sorted(each for each in given if each.startswith(_SECURING) and each not in _SUPPORTED)
    if unknown:
        supported = ", ".join(sorted(each for each in _SUPPORTED if each.startswith(_SECURING)))
        cause = "the archive does not support it"
        raise ConfigurationError(f"Kafka setting {unknown[0]}", cause, f"It supports {supported}.")
    kept = {each: value for each, value in given.items() if each in _SUPPORTED or each.startswith(_OF_CONNECTIONS)}
    protocol = str(kept.get("security.protocol", "plaintext")).lower()
    try:
        kept[_BOOTSTRAP] = clean_addresses(str(kept.get(_BOOTSTRAP, bootstrap)), protocol)
    except ValueError as error:
        raise ConfigurationError(f"{_BOOTSTRAP} of Airflow's connection {name}", str(error), "Fix it.") from error
    connection = KafkaConnection(kept, name)
    mechanism = connection.mechanism
    if connection.protocol.startswith("sasl") and mechanism not in (*_MECHANISMS_WITH_ACCOUNT, "OAUTHBEARER"):
        cause = f"it is {mechanism or 'not set'}"
        remedy = f"Set it to {', '.join(_MECHANISMS_WITH_ACCOUNT)} or OAUTHBEARER."
        raise ConfigurationError(connection.setting("sasl.mechanism"), cause, remedy)
    return connection
