"""Settings of the connection to Kafka: cleaned addresses, and contradictions that are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from moderation.errors import ConfigurationError
from moderation.kafka_settings import KafkaSettings, clean_addresses
from moderation.settings import load_settings

ACCOUNT = {"KAFKA_USERNAME": "worker", "KAFKA_PASSWORD": "not-a-real-one"}
SCRAM = {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", **ACCOUNT}
OAUTH = {
    "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
    "KAFKA_OAUTH_ENDPOINT": "https://issuer.example/token",
    "KAFKA_OAUTH_CLIENT_ID": "worker",
    "KAFKA_OAUTH_CLIENT_SECRET": "not-a-real-one",
}
TLS = {"KAFKA_SECURITY_PROTOCOL": "ssl"}
WITHOUT = "(removed)"


def load(monkeypatch: pytest.MonkeyPatch, *parts: dict[str, str]) -> KafkaSettings:
    for name, value in {key: value for part in parts for key, value in part.items()}.items():
        if value != WITHOUT:
            monkeypatch.setenv(f"MODERATION_{name}", value)
    return load_settings()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("kafka:9092", "kafka:9092"),
        (" a:9092 , b:9093,", "a:9092,b:9093"),
        ("a:9092,,\n b:9093", "a:9092,b:9093"),
        ("kafka://a:9092, kafka://b:9092/", "a:9092,b:9092"),
        ("SASL_SSL://a.example:9096", "a.example:9096"),
        ("sasl_ssl://a:9096,sasl_ssl://a:9096", "a:9096"),
        ("[::1]:9092,10.0.0.1:9092", "[::1]:9092,10.0.0.1:9092"),
        ("a:09092", "a:9092"),
    ],
)
def test_addresses_are_cleaned(text: str, clean: str) -> None:
    assert clean_addresses(text, "sasl_ssl") == clean


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "it contains no address"),
        (" , ,", "it contains no address"),
        ("kafka", "'kafka' is not host:port"),
        ("a:9092,b", "'b' is not host:port"),
        ("a:9092 b:9092", "is not host:port"),
        ("a:9092;b:9092", "is not host:port"),
        ("a:port", "is not host:port"),
        ("a:", "is not host:port"),
        (":9092", "is not host:port"),
        ("a:0", "0 in 'a:0' is no port"),
        ("a:65536", "65536 in 'a:65536' is no port"),
        ("a:9092/path", "is not host:port"),
        ("::1:9092", "is not host:port"),
        ("http://a:9092", "http:// is no scheme of Kafka"),
        ("PLAINTEXT://a:9092", "its scheme is PLAINTEXT, but MODERATION_KAFKA_SECURITY_PROTOCOL is sasl_ssl"),
        ("kafka://me:secret@a:9092", "it contains a user; set MODERATION_KAFKA_USERNAME"),
    ],
)
def test_malformed_addresses_are_refused_by_the_name_of_the_setting(
    monkeypatch: pytest.MonkeyPatch, text: str, cause: str
) -> None:
    with pytest.raises(ConfigurationError, match="MODERATION_KAFKA_BOOTSTRAP") as refused:
        load(monkeypatch, SCRAM, {"KAFKA_BOOTSTRAP": text})
    assert cause in str(refused.value)
    assert "secret@" not in str(refused.value)


@pytest.mark.parametrize(
    ("parts", "key", "cause"),
    [
        ([ACCOUNT], "KAFKA_USERNAME", "SECURITY_PROTOCOL is plaintext, which has no SASL"),
        ([{"KAFKA_PASSWORD": "x"}, TLS], "KAFKA_PASSWORD", "SECURITY_PROTOCOL is ssl, which has no SASL"),
        ([{"KAFKA_SASL_MECHANISM": "PLAIN"}, TLS], "KAFKA_SASL_MECHANISM", "which has no SASL"),
        ([{"KAFKA_OAUTH_SCOPE": "x"}], "KAFKA_OAUTH_SCOPE", "which has no SASL"),
        (
            [SCRAM, {"KAFKA_SASL_MECHANISM": ""}],
            "KAFKA_SASL_MECHANISM",
            "not set, but MODERATION_KAFKA_SECURITY_PROTOCOL",
        ),
        ([SCRAM, {"KAFKA_USERNAME": ""}], "KAFKA_USERNAME", "it is not set"),
        ([SCRAM, {"KAFKA_PASSWORD": ""}], "KAFKA_PASSWORD", "it is not set"),
        ([SCRAM, {"KAFKA_OAUTH_CLIENT_ID": "x"}], "KAFKA_OAUTH_CLIENT_ID", "does not use it"),
        ([OAUTH, {"KAFKA_OAUTH_ENDPOINT": ""}], "KAFKA_OAUTH_ENDPOINT", "it is not set"),
        ([OAUTH, {"KAFKA_OAUTH_CLIENT_SECRET": ""}], "KAFKA_OAUTH_CLIENT_SECRET", "it is not set"),
        ([OAUTH, {"KAFKA_PASSWORD": "x"}], "KAFKA_PASSWORD", "does not use it"),
        ([OAUTH, {"KAFKA_OAUTH_ENDPOINT": "file:///x"}], "KAFKA_OAUTH_ENDPOINT", "no http or https URL"),
        ([SCRAM, {"KAFKA_SASL_MECHANISM": "GSSAPI"}], "KAFKA_SASL_MECHANISM", "SCRAM-SHA-256"),
        ([{"KAFKA_SECURITY_PROTOCOL": "tls"}], "KAFKA_SECURITY_PROTOCOL", "plaintext"),
        ([{"KAFKA_CA_FILE": __file__}], "KAFKA_CA_FILE", "which has no TLS"),
        ([{"KAFKA_KEY_PASSWORD": "x"}], "KAFKA_KEY_PASSWORD", "which has no TLS"),
        ([TLS, {"KAFKA_CERTIFICATE_FILE": __file__}], "KAFKA_CERTIFICATE_FILE", "MODERATION_KAFKA_KEY_FILE is not"),
        ([TLS, {"KAFKA_KEY_FILE": __file__}], "KAFKA_KEY_FILE", "MODERATION_KAFKA_CERTIFICATE_FILE is not"),
        ([TLS, {"KAFKA_KEY_PASSWORD": "x"}], "KAFKA_KEY_PASSWORD", "MODERATION_KAFKA_KEY_FILE is not"),
        ([TLS, {"KAFKA_CA_FILE": "/nowhere/ca.pem"}], "KAFKA_CA_FILE", "there is no file /nowhere/ca.pem"),
        ([{"KAFKA_WORKER_PRINCIPAL": "worker"}], "KAFKA_WORKER_PRINCIPAL", "no principal"),
        ([{"KAFKA_READER_PRINCIPAL": "User:*"}], "KAFKA_READER_PRINCIPAL", "no principal of one user"),
        ([{"TOPIC_RETENTION_HOURS": "1"}], "TOPIC_RETENTION_HOURS", "24"),
    ],
)
def test_contradictions_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, parts: list[dict[str, str]], key: str, cause: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(monkeypatch, *parts)
    assert refused.value.thing == f"MODERATION_{key}"
    assert cause in refused.value.cause
    assert refused.value.remedy


def test_empty_values_count_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name.upper() for name in KafkaSettings.model_fields if KafkaSettings.model_fields[name].default is None]
    assert load(monkeypatch, dict.fromkeys(names, "")) == load_settings()
    assert {getattr(load_settings(), name.lower()) for name in names} == {None}


def test_protocol_and_mechanism_may_be_written_in_either_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    upper = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "scram-sha-256"}
    settings = load(monkeypatch, SCRAM, upper)
    assert (settings.kafka_security_protocol, settings.kafka_sasl_mechanism) == ("sasl_ssl", "SCRAM-SHA-256")
    assert (settings.uses_sasl, settings.uses_tls, settings.kafka_verify_hostname) == (True, True, True)


@pytest.mark.parametrize("parts", [[SCRAM], [OAUTH]], ids=["scram", "oauth"])
def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch, parts: list[dict[str, str]]) -> None:
    assert "not-a-real-one" not in repr(load(monkeypatch, *parts))
