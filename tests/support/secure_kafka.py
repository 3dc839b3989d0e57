"""A real broker with TLS, mutual TLS, SASL and an authorizer, whose certificates and accounts the test makes."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from confluent_kafka.admin import (
    AclBindingFilter,
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from local.stack import kafka
from local.stack.environment import inherited_environment
from local.stack.jars import provide
from local.stack.layout import StackLayout
from local.stack.ports import HOST, any_free_port
from local.stack.wait import wait_until
from moderation.adapters.kafka.acls import binding_of, read_permissions
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.permissions import Permission
from tests.support.tls import Authority, Certificate

ROLES = ("worker", "source", "batch", "operator", "reader")
ACCOUNTS = (*ROLES, *(f"only-{role}" for role in ROLES))
"""Accounts and names of certificates; the second group has only the permissions that `moderation topics` grants."""
PASSWORD = "of-the-tests"
_PROTOCOLS = {
    "INTERNAL": "PLAINTEXT",
    "SCRAM": "SASL_SSL",
    "MUTUAL": "SSL",
    "PLAIN": "SASL_PLAINTEXT",
    "OAUTH": "SASL_SSL",
    "EXPIRED": "SSL",
    "ELSEWHERE": "SSL",
}
"""Security protocol of each listener. Who connects to INTERNAL is the super user User:ANONYMOUS."""
_ITERATIONS = 4_096
_LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureKafka:
    """Addresses, certificates and accounts of the broker.

    Attributes:
        ports: by listener.
        authority: signed the certificates of brokers and clients.
        stranger: an authority that the broker does not trust, and that did not sign its certificates.
        folder: for further files.
        clients: certificate of each account.
    """

    ports: Mapping[str, int]
    authority: Authority
    stranger: Authority
    folder: Path
    clients: Mapping[str, Certificate] = field(default_factory=dict)

    @property
    def admin(self) -> KafkaConnection:
        """The connection of the super user."""
        return KafkaConnection.plaintext(self.address("INTERNAL"))

    def address(self, listener: str) -> str:
        """Return ``host:port`` of a listener."""
        return f"{HOST}:{self.ports[listener]}"

    def scram(self, user: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, Any]:
        """Return the settings of an account over SASL_SSL."""
        return {
            "kafka_bootstrap": self.address("SCRAM"),
            "kafka_security_protocol": "sasl_ssl",
            "kafka_sasl_mechanism": mechanism,
            "kafka_username": user,
            "kafka_password": PASSWORD,
            "kafka_ca_file": str(self.authority.file),
        }

    def mutual(self, role: str) -> dict[str, Any]:
        """Return the settings of a role over mutual TLS."""
        return {
            "kafka_bootstrap": self.address("MUTUAL"),
            "kafka_security_protocol": "ssl",
            "kafka_ca_file": str(self.authority.file),
            "kafka_certificate_file": str(self.clients[role].certificate),
            "kafka_key_file": str(self.clients[role].key),
        }

    def tls(self, listener: str) -> dict[str, Any]:
        """Return the settings of TLS without an account."""
        return {
            "kafka_bootstrap": self.address(listener),
            "kafka_security_protocol": "ssl",
            "kafka_ca_file": str(self.authority.file),
        }

    def plain(self, user: str) -> dict[str, Any]:
        """Return the settings of an account over an unencrypted connection."""
        return {
            "kafka_bootstrap": self.address("PLAIN"),
            "kafka_security_protocol": "sasl_plaintext",
            "kafka_sasl_mechanism": "PLAIN",
            "kafka_username": user,
            "kafka_password": PASSWORD,
        }

    def oauth(self, endpoint: str, user: str) -> dict[str, Any]:
        """Return the settings of a client of an issuer of tokens."""
        return {
            "kafka_bootstrap": self.address("OAUTH"),
            "kafka_security_protocol": "sasl_ssl",
            "kafka_sasl_mechanism": "OAUTHBEARER",
            "kafka_oauth_endpoint": endpoint,
            "kafka_oauth_client_id": user,
            "kafka_oauth_client_secret": PASSWORD,
            "kafka_ca_file": str(self.authority.file),
        }


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Run the broker while the block runs."""
    layout = StackLayout(folder / "broker")
    layout.make_folders()
    authority, stranger = Authority(folder / "tls", "authority"), Authority(folder / "stranger", "stranger")
    clients = {name: authority.client(name) for name in ACCOUNTS}
    ports: dict[str, int] = {}
    while len(ports) <= len(_PROTOCOLS):
        port = any_free_port()
        if port not in ports.values():
            ports[[*_PROTOCOLS, "CONTROLLER"][len(ports)]] = port
    broker = SecureKafka(ports, authority, stranger, folder, clients)
    jars = provide(layout.jars)
    kafka.prepare(
        layout,
        jars,
        port=ports["INTERNAL"],
        controller_port=ports["CONTROLLER"],
        further=_settings(ports, authority),
    )
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(
            kafka.command(layout, jars),
            cwd=layout.kafka,
            env=inherited_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(_ready(process, kafka.answers(broker.admin)), seconds=60, description="the broker with TLS")
        _create_accounts(broker)
        yield broker
    finally:
        process.kill()
        process.wait(30)


def _ready(process: subprocess.Popen[bytes], answers: Any) -> Any:
    def ready() -> bool:
        assert process.poll() is None, "the broker ended; see broker.log"
        return bool(answers())

    return ready


def _settings(ports: Mapping[str, int], authority: Authority) -> dict[str, str]:
    right = authority.server("broker")
    stores = {
        **dict.fromkeys(("scram", "mutual", "oauth"), right),
        "expired": authority.server("expired-broker", expired=True),
        "elsewhere": authority.server("other-broker", ("elsewhere.example",)),
    }
    listeners = [f"{name}://{HOST}:{ports[name]}" for name in _PROTOCOLS]
    settings = {
        "listeners": ",".join([*listeners, f"CONTROLLER://{HOST}:{ports['CONTROLLER']}"]),
        "advertised.listeners": ",".join(listeners),
        "listener.security.protocol.map": ",".join(
            f"{k}:{v}" for k, v in {**_PROTOCOLS, "CONTROLLER": "PLAINTEXT"}.items()
        ),
        "inter.broker.listener.name": "INTERNAL",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "connection.failed.authentication.delay.ms": "20",
    }
    for name, certificate in stores.items():
        settings[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
        settings[f"listener.name.{name}.ssl.keystore.location"] = str(certificate.both)
    settings |= {
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": str(authority.file),
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256",
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required "
        + " ".join(f'user_{role}="{PASSWORD}"' for role in ROLES)
        + ";",
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.oauth.oauthbearer.sasl.jaas.config": f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule required "
        'unsecuredLoginStringClaim_sub="broker";',
    }
    for mechanism in ("scram-sha-512", "scram-sha-256"):
        settings[f"listener.name.scram.{mechanism}.sasl.jaas.config"] = f"{_LOGIN}.scram.ScramLoginModule required;"
    return settings


def _create_accounts(broker: SecureKafka) -> None:
    client = AdminClient(broker.admin.librdkafka({"log_level": 2}))
    for mechanism in (ScramMechanism.SCRAM_SHA_512, ScramMechanism.SCRAM_SHA_256):
        credential = ScramCredentialInfo(mechanism, _ITERATIONS)
        changes: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(name, credential, PASSWORD.encode()) for name in ACCOUNTS
        ]
        for future in client.alter_user_scram_credentials(changes).values():
            future.result(30)


def grant(broker: SecureKafka, permissions: Collection[Permission]) -> None:
    """Add entries to the broker's access control list, as its super user; on return it applies them."""
    client = AdminClient(broker.admin.librdkafka({"log_level": 2}))
    for future in client.create_acls([binding_of(each) for each in permissions]).values():
        future.result(30)
    wait_until(
        lambda: set(permissions) <= set(read_permissions(client, broker.admin)),
        seconds=20,
        description="granted permissions",
        interval_seconds=0.05,
    )


def revoke(broker: SecureKafka, permissions: Collection[Permission]) -> None:
    """Delete entries of the broker's access control list, as its super user; on return it does not apply them."""
    client = AdminClient(broker.admin.librdkafka({"log_level": 2}))
    bindings = [binding_of(each) for each in permissions]
    filters = [
        AclBindingFilter(
            each.restype,
            each.name,
            each.resource_pattern_type,
            each.principal,
            each.host,
            each.operation,
            each.permission_type,
        )
        for each in bindings
    ]
    for future in client.delete_acls(filters).values():
        future.result(30)
    wait_until(
        lambda: not set(permissions) & set(read_permissions(client, broker.admin)),
        seconds=20,
        description="revoked permissions",
        interval_seconds=0.05,
    )


class TokenIssuer(ThreadingHTTPServer):
    """Issues unsigned tokens, as a broker accepts them without a validator, to who knows the password.

    Attributes:
        issued: number of issued tokens.
        status: status of every answer; 200 to issue tokens.
        life_seconds: life of issued tokens.
    """

    def __init__(self) -> None:
        super().__init__((HOST, 0), _TokenRequest)
        self.issued = 0
        self.status = 200
        self.life_seconds = 3_600

    @property
    def url(self) -> str:
        """Address for tokens."""
        return f"http://{HOST}:{self.server_address[1]}/token"


class _TokenRequest(BaseHTTPRequestHandler):
    server: TokenIssuer
    timeout: ClassVar[float] = 10.0

    def do_POST(self) -> None:
        """Issue a token."""
        self.rfile.read(int(self.headers["Content-Length"]))
        given = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        user, _, password = given.partition(":")
        status = self.server.status if password == PASSWORD else 401
        self.server.issued += status == 200
        now, life = int(time.time()), self.server.life_seconds
        claims = {"sub": user, "iat": now, "exp": now + life, "scope": "kafka"}
        parts = [json.dumps(each).encode() for each in ({"alg": "none", "typ": "JWT"}, claims)]
        token = ".".join([*(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts), ""])
        answer = (
            {"access_token": token, "expires_in": life, "token_type": "Bearer"} if status == 200 else {"error": "x"}
        )
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def token_issuer() -> Iterator[TokenIssuer]:
    """Run an issuer of tokens while the block runs."""
    with TokenIssuer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
