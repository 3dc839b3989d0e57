"""One description of the connection, and the forms of it that each client takes."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from pydantic import SecretStr

from moderation.adapters.kafka.connection import KafkaConnection, kafka_of
from moderation.adapters.kafka.oauth_token import TokenProvider
from moderation.errors import ConfigurationError
from moderation.kafka_settings import KafkaSettings
from stream.faust_app import broker_options
from tests.support.tls import Authority

SECRET = "not-a-real-one"
BOOTSTRAP = "a:9092,b:9093"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "authority of tests")


def account(protocol: str, mechanism: str, **further: Any) -> KafkaSettings:
    given = {"kafka_username": "worker", "kafka_password": SECRET, "kafka_sasl_mechanism": mechanism}
    return settings(kafka_security_protocol=protocol, **{**given, **further})


def oauth(**further: Any) -> KafkaSettings:
    return settings(
        kafka_security_protocol="sasl_ssl",
        kafka_sasl_mechanism="OAUTHBEARER",
        kafka_oauth_endpoint="https://issuer.example/token",
        kafka_oauth_client_id="worker",
        kafka_oauth_client_secret=SecretStr(SECRET),
        kafka_oauth_scope="kafka",
        **further,
    )


def settings(**fields: Any) -> KafkaSettings:
    return KafkaSettings(**{"kafka_bootstrap": BOOTSTRAP, **fields})


def every(authority: Authority) -> dict[str, KafkaSettings]:
    client = authority.client("every")
    tls = {"kafka_ca_file": authority.file}
    mutual = {**tls, "kafka_certificate_file": client.certificate, "kafka_key_file": client.key}
    return {
        "plaintext": settings(),
        "ssl": settings(kafka_security_protocol="ssl", **tls),
        "mutual": settings(kafka_security_protocol="ssl", **mutual),
        "plain": account("sasl_plaintext", "PLAIN"),
        "scram256": account("sasl_ssl", "SCRAM-SHA-256", **tls),
        "scram512": account("sasl_ssl", "SCRAM-SHA-512", **mutual),
        "oauth": oauth(**tls),
    }


def test_librdkafka_gets_every_setting_by_its_name(authority: Authority) -> None:
    client = authority.client("named", password=b"of the key")
    given = account(
        "sasl_ssl",
        "SCRAM-SHA-512",
        kafka_ca_file=authority.file,
        kafka_certificate_file=client.certificate,
        kafka_key_file=client.key,
        kafka_key_password=SecretStr("of the key"),
    )
    assert kafka_of(given).librdkafka({"log_level": 2}) == {
        "allow.auto.create.topics": False,
        "log_level": 2,
        "bootstrap.servers": BOOTSTRAP,
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "worker",
        "sasl.password": SECRET,
        "ssl.ca.location": str(authority.file),
        "ssl.certificate.location": str(client.certificate),
        "ssl.key.location": str(client.key),
        "ssl.key.password": "of the key",
        "ssl.endpoint.identification.algorithm": "https",
    }
    assert kafka_of(oauth()).librdkafka()["sasl.oauthbearer.method"] == "oidc"


def test_librdkafka_accepts_every_connection(authority: Authority) -> None:
    for name, each in every(authority).items():
        configuration = kafka_of(each).librdkafka({"log_level": 0, "group.id": "x"})
        if name != "oauth":  # its client requests a token at once
            Consumer(configuration).close()
            Producer({key: value for key, value in configuration.items() if key != "group.id"})
            AdminClient(configuration)


def test_aiokafka_gets_the_same_account_and_a_context_that_verifies(authority: Authority) -> None:
    given = every(authority)
    plain = kafka_of(given["plain"]).aiokafka()
    assert plain == {
        "bootstrap_servers": BOOTSTRAP,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "worker",
        "sasl_plain_password": SECRET,
    }
    assert kafka_of(given["plaintext"]).aiokafka() == {
        "bootstrap_servers": BOOTSTRAP,
        "security_protocol": "PLAINTEXT",
    }
    context = kafka_of(given["scram256"]).aiokafka()["ssl_context"]
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert [dict(entry[0] for entry in each["subject"]) for each in context.get_ca_certs()] == [
        {"commonName": "authority of tests"}
    ]
    provider = kafka_of(given["oauth"]).aiokafka()["sasl_oauth_token_provider"]
    assert isinstance(provider, TokenProvider)


def test_faust_passes_the_same_arguments_to_aiokafka(authority: Authority) -> None:
    for name, each in every(authority).items():
        options = broker_options(kafka_of(each))
        assert options["broker"] == ["kafka://a:9092", "kafka://b:9093"]
        arguments = kafka_of(each).aiokafka()
        del arguments["bootstrap_servers"]
        passed = {
            key: value
            for key, value in credentials_to_aiokafka_auth(options["broker_credentials"]).items()
            if value is not None
        }
        assert passed.keys() == arguments.keys(), name
        opaque = {"ssl_context", "sasl_oauth_token_provider"}
        assert {key: passed[key] for key in passed.keys() - opaque} == {
            key: arguments[key] for key in arguments.keys() - opaque
        }, name
        assert SECRET not in repr(options)


def test_airflow_connection_gives_the_same_connection_back(authority: Authority) -> None:
    elsewhere = settings(kafka_bootstrap="elsewhere:9092")
    for each in every(authority).values():
        kafka = kafka_of(each)
        extra = json.loads(json.dumps(kafka.airflow_extra()))
        assert extra["group.id"] == "moderation-archive"
        assert kafka_of(elsewhere, extra).configuration == kafka.configuration


def test_airflow_connection_without_addresses_uses_those_of_the_settings() -> None:
    kafka = kafka_of(settings(), {"group.id": "x", "enable.auto.commit": True, "max.poll.interval.ms": 1})
    assert kafka.configuration == {"bootstrap.servers": BOOTSTRAP}
    assert kafka.setting("sasl.password") == "sasl.password of Airflow's connection kafka_default"


@pytest.mark.parametrize(
    ("extra", "thing"),
    [
        ({"sasl.kerberos.keytab": "x"}, "Kafka setting sasl.kerberos.keytab"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"}, "sasl.mechanism of Airflow's connection"),
        ({"security.protocol": "SASL_SSL"}, "sasl.mechanism of Airflow's connection"),
        ({"bootstrap.servers": "kafka"}, "bootstrap.servers of Airflow's connection"),
    ],
)
def test_airflow_connection_that_no_client_understands_is_refused(extra: dict[str, str], thing: str) -> None:
    with pytest.raises(ConfigurationError, match=thing):
        kafka_of(settings(), extra)


def test_host_names_are_verified_unless_that_is_switched_off(authority: Authority) -> None:
    given = {"kafka_security_protocol": "ssl", "kafka_ca_file": authority.file}
    kafka = kafka_of(settings(**given, kafka_verify_hostname=False))
    assert kafka.librdkafka()["ssl.endpoint.identification.algorithm"] == "none"
    context = kafka.aiokafka()["ssl_context"]
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_REQUIRED)


def test_unreadable_certificates_and_keys_are_refused_by_the_name_of_the_setting(
    authority: Authority, tmp_path: Path
) -> None:
    text = tmp_path / "text"
    text.write_text("no certificate")
    client, other = authority.client("client"), authority.client("other")
    locked = authority.client("locked", password=b"of the key")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"kafka_ca_file": text}, "KAFKA_CA_FILE"),
        ({"kafka_certificate_file": text, "kafka_key_file": client.key}, "KAFKA_CERTIFICATE_FILE"),
        ({"kafka_certificate_file": client.certificate, "kafka_key_file": text}, "KAFKA_KEY_FILE"),
        ({"kafka_certificate_file": client.certificate, "kafka_key_file": other.key}, "KAFKA_KEY_FILE"),
        ({"kafka_certificate_file": locked.certificate, "kafka_key_file": locked.key}, "KAFKA_KEY_PASSWORD"),
        (
            {
                "kafka_certificate_file": locked.certificate,
                "kafka_key_file": locked.key,
                "kafka_key_password": "another",
            },
            "KAFKA_KEY_PASSWORD",
        ),
    ]
    for fields, key in cases:
        with pytest.raises(ConfigurationError) as refused:
            kafka_of(settings(kafka_security_protocol="ssl", **fields)).aiokafka()
        assert refused.value.thing == f"MODERATION_{key}", fields
    right = {"kafka_certificate_file": locked.certificate, "kafka_key_file": locked.key}
    assert kafka_of(settings(kafka_security_protocol="ssl", **right, kafka_key_password="of the key")).aiokafka()


def test_a_connection_does_not_show_its_secrets() -> None:
    kafka = KafkaConnection({"bootstrap.servers": "a:1", "sasl.password": SECRET})
    assert SECRET not in repr(kafka)
