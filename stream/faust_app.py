"""Common settings of the project's Faust apps: raw values, existing topics, no tables, no leader."""

from __future__ import annotations

from typing import Any

import faust
from faust.auth import Credentials, OAuthCredentials, SASLCredentials, SSLCredentials

from moderation.adapters.kafka.connection import KafkaConnection, kafka_of
from moderation.settings import Settings
from stream.logs import logging_config


def new_app(name: str, settings: Settings, folder: str, **options: Any) -> faust.App:
    """Create a Faust app.

    Args:
        name: id of the app and of its consumer group.
        settings: connection to the brokers and state folder.
        folder: folder of Faust's files, below the state folder; created if absent.
        options: further Faust settings.

    Raises:
        ConfigurationError: a certificate or a key cannot be read.
    """
    state = settings.state_folder.resolve() / folder
    state.mkdir(parents=True, exist_ok=True)
    return faust.App(
        name,
        **broker_options(kafka_of(settings)),
        datadir=state,
        value_serializer="raw",
        key_serializer="raw",
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        logging_config=logging_config(settings.log_level),
        **options,
    )


def broker_options(kafka: KafkaConnection) -> dict[str, Any]:
    """Return the arguments of a Faust app that describe the connection.

    Args:
        kafka: the connection.

    Raises:
        ConfigurationError: a certificate or a key cannot be read.
    """
    return {
        "broker": [f"kafka://{address}" for address in kafka.bootstrap.split(",")],
        "broker_credentials": _credentials(kafka.aiokafka()),
    }


def _credentials(arguments: dict[str, Any]) -> Credentials | None:
    """Convert arguments of aiokafka, to which Faust converts the credentials back."""
    context = arguments.get("ssl_context")
    if not arguments["security_protocol"].startswith("SASL"):
        return None if context is None else SSLCredentials(context)
    if (provider := arguments.get("sasl_oauth_token_provider")) is not None:
        return OAuthCredentials(oauth_cb=provider, ssl_context=context)
    return SASLCredentials(
        username=arguments["sasl_plain_username"],
        password=arguments["sasl_plain_password"],
        mechanism=arguments["sasl_mechanism"],
        ssl_context=context,
    )
