from __future__ import annotations

import sys

import psycopg
import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from confluent_kafka import KafkaError, KafkaException

from cli import main
from cli.server_errors import server_error
from moderation.errors import BrokerUnavailable, ConfigurationError, DatabaseUnavailable


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KafkaException(KafkaError(KafkaError._TRANSPORT)), BrokerUnavailable),
        (KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN)), BrokerUnavailable),
        (KafkaException(KafkaError(KafkaError._AUTHENTICATION)), ConfigurationError),
        (KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)), ConfigurationError),
        (KafkaConnectionError("no broker"), BrokerUnavailable),
        (TopicAuthorizationFailedError("comments"), ConfigurationError),
        (psycopg.OperationalError("connection failed: Connection refused"), DatabaseUnavailable),
        (psycopg.OperationalError('FATAL:  password authentication failed for user "x"'), ConfigurationError),
        (psycopg.OperationalError('FATAL:  database "none" does not exist'), ConfigurationError),
    ],
    ids=str,
)
def test_an_error_of_a_client_has_the_class_that_states_whether_to_retry(error: Exception, expected: type) -> None:
    assert type(server_error(error)) is expected


@pytest.mark.parametrize("error", [psycopg.errors.UndefinedTable("no table"), ValueError("a defect")], ids=str)
def test_a_defect_is_not_translated(error: Exception) -> None:
    assert server_error(error) is None


def test_the_command_prints_the_error_of_a_client_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr(main, "app", run)
    monkeypatch.setattr(sys, "argv", ["moderation", "topics"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    printed = " ".join(capsys.readouterr().err.split())
    assert printed.startswith("error BrokerUnavailable Kafka:")
    assert "MODERATION_KAFKA_BOOTSTRAP" in printed
    assert "Traceback" not in printed
