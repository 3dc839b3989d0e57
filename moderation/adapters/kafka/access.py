"""Check whether brokers accept the connection, and name the setting that is wrong.

The clients hide the reason: librdkafka reports that no broker answered in time, and aiokafka that it cannot bootstrap;
both try again for as long as they are asked. So everything that connects makes this check first.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from aiokafka.conn import AIOKafkaConnection, collect_hosts
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.event_loop import run
from moderation.adapters.kafka.oauth_token import TokenRefused
from moderation.errors import ConfigurationError

_REQUEST_SECONDS = 4.0
_ATTEMPTS = 3
"""A broker that has just started may not know its accounts yet."""
_PAUSE_SECONDS = 0.7
_EXPIRED, _NOT_YET_VALID, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's codes of failed verifications, X509_V_ERR_*."""


def require_accepted(kafka: KafkaConnection) -> None:
    """Refuse a connection that brokers do not accept. Return if a broker accepts it, or if none answers.

    A broker that does not answer may do so later, so the caller's own request reports it.

    Args:
        kafka: the connection.

    Raises:
        ConfigurationError: no broker accepts it; the message names the setting to correct.
    """
    refusal = run(_refusal(kafka))
    if refusal is not None:
        raise refusal


async def _refusal(kafka: KafkaConnection) -> ConfigurationError | None:
    """Return why no broker accepts the connection; None if one does, or if none answers."""
    arguments = kafka.aiokafka_security()
    for attempt in range(_ATTEMPTS):
        refusals = []
        for host, port, _ in collect_hosts(kafka.bootstrap, randomize=False):
            try:
                await _request_metadata(host, port, arguments)
            except (OSError, KafkaError) as error:
                refusals.append(await _refusal_by(error, kafka, host, port))
            else:
                return None
        final = next((each for each in refusals if each is not None), None)
        if final is None or final.thing not in _accounts(kafka) or attempt == _ATTEMPTS - 1:
            return final
        await asyncio.sleep(_PAUSE_SECONDS)
    return None


def _accounts(kafka: KafkaConnection) -> set[str]:
    return {kafka.setting("sasl.password"), kafka.setting("sasl.oauthbearer.client.secret")}


async def _request_metadata(host: str, port: int, arguments: dict[str, Any]) -> None:
    """Connect, log in and send a request that needs the login.

    Raises:
        OSError: connection or TLS handshake fail.
        KafkaError: the broker refuses, or closes the connection; the latter has the cause as ``__cause__``.
    """
    if (context := arguments.get("ssl_context")) is not None:
        # asyncio leaves the socket open if a handshake fails.
        await asyncio.get_running_loop().run_in_executor(None, _handshake, host, port, context)
    connection = AIOKafkaConnection(host, port, request_timeout_ms=round(_REQUEST_SECONDS * 1_000), **arguments)
    try:
        await connection.connect()
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


async def _refusal_by(error: Exception, kafka: KafkaConnection, host: str, port: int) -> ConfigurationError | None:
    """Return what an error means; None if the broker does not answer."""
    for each in _causes(error):
        if (refusal := _known_refusal(each, kafka, f"broker {host}:{port}")) is not None:
            return refusal
    if isinstance(error, TimeoutError | ConnectionRefusedError | socket.gaierror):
        return None
    if not isinstance(error, ssl.SSLError | ConnectionError | KafkaConnectionError):
        return None
    return await _mismatch(kafka, host, port)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _known_refusal(error: BaseException, kafka: KafkaConnection, broker: str) -> ConfigurationError | None:
    def refusal(name: str, cause: str, remedy: str) -> ConfigurationError:
        return ConfigurationError(kafka.setting(name), cause, f"{remedy} See docs/kafka.md.")

    if isinstance(error, ssl.SSLCertVerificationError):
        cause, remedy = f"({error.verify_message})", "Renew the broker's certificate, or correct the address."
        if error.verify_code == _EXPIRED:
            return refusal("bootstrap.servers", f"the certificate of {broker} has expired {cause}", remedy)
        if error.verify_code == _NOT_YET_VALID:
            return refusal("bootstrap.servers", f"the certificate of {broker} is not valid yet {cause}", remedy)
        if error.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
            remedy = (
                f"Use an address that the certificate names. {kafka.setting('ssl.endpoint.identification.algorithm')} "
                "switches the check off; then any certificate of the authority is accepted."
            )
            return refusal("bootstrap.servers", f"the certificate of {broker} names another host {cause}", remedy)
        remedy = "Set it to the file with the certificate of the authority that signed the broker's certificate."
        return refusal("ssl.ca.location", f"it does not verify the certificate of {broker} {cause}", remedy)
    if isinstance(error, ssl.SSLError) and "ALERT" in (reason := error.reason or ""):
        if "ssl.certificate.location" in kafka.configuration:
            cause = f"{broker} does not accept the client's certificate ({reason})"
            return refusal("ssl.certificate.location", cause, "Use a valid one that the brokers' authority signed.")
        cause = (
            f"it is not set, but {broker} demands a client's certificate, or has no TLS version in common ({reason})"
        )
        return refusal("ssl.certificate.location", cause, "Set it, with its key.")
    if isinstance(error, TokenRefused):
        return ConfigurationError(error.setting, str(error), "See docs/kafka.md.")
    if isinstance(error, UnsupportedSaslMechanismError):
        return refusal("sasl.mechanism", f"{broker} does not accept {kafka.mechanism}", "Set another one.")
    if isinstance(error, IllegalSaslStateError):
        cause = f"it is {kafka.protocol}, but {broker} has no SASL on this port"
        return refusal("security.protocol", cause, "Set it to the protocol of the port, or correct the port.")
    if isinstance(error, SaslAuthenticationFailed | AuthenticationFailedError):
        if kafka.mechanism == "OAUTHBEARER":
            cause = f"{broker} does not accept the token ({error})"
            return refusal("sasl.oauthbearer.client.secret", cause, "Check the client, its scope and the issuer.")
        account = kafka.configuration.get("sasl.username")
        cause = f"{broker} does not accept it for the account {account} with {kafka.mechanism} ({error})"
        others = f"{kafka.setting('sasl.username')} and {kafka.setting('sasl.mechanism')}"
        return refusal("sasl.password", cause, f"Check it, {others}.")
    return None


async def _mismatch(kafka: KafkaConnection, host: str, port: int) -> ConfigurationError | None:
    """Return a refusal if the broker's port has another security protocol; None if that is not certain."""
    broker, remedy = f"broker {host}:{port}", "Set it to the protocol of the port, or correct the port."
    thing, uses = kafka.setting("security.protocol"), kafka.protocol
    has_tls = await asyncio.get_running_loop().run_in_executor(None, _speaks_tls, host, port)
    if has_tls and not uses.endswith("ssl"):
        return ConfigurationError(thing, f"it is {uses}, but {broker} demands TLS", remedy)
    if not has_tls and not await _speaks_plain(host, port):
        return None
    if not has_tls and uses.endswith("ssl"):
        return ConfigurationError(thing, f"it is {uses}, but {broker} has no TLS on this port", remedy)
    if not uses.startswith("sasl"):
        return ConfigurationError(thing, f"it is {uses}, but {broker} closes the connection: it demands SASL", remedy)
    return None


def _speaks_tls(host: str, port: int) -> bool:
    # Nothing is sent over this connection, so the certificate is not verified.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _handshake(host, port, context)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
    return True


def _handshake(host: str, port: int, context: ssl.SSLContext) -> None:
    """Make a TLS connection and close it.

    Raises:
        OSError: the connection or the handshake fails.
    """
    with (
        socket.create_connection((host, port), _REQUEST_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host),
    ):
        pass


async def _speaks_plain(host: str, port: int) -> bool:
    connection = AIOKafkaConnection(host, port, request_timeout_ms=round(_REQUEST_SECONDS * 1_000))
    try:
        await connection.connect()
    except (OSError, KafkaError):
        return False
    finally:
        connection.close()
    return True
