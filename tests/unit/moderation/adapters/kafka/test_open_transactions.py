"""The command for an open transaction works on brokers with and without TLS and accounts."""

from __future__ import annotations

from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.open_transactions import OpenTransaction
from tests.conftest import ROOT

TRANSACTION = OpenTransaction("comments", 2, 40, 7, 1000, 0)
PLAINTEXT = KafkaConnection.plaintext("kafka:9092")


def test_an_unencrypted_broker_needs_no_file() -> None:
    command = (
        "kafka-transactions.sh --bootstrap-server kafka:9092 abort --topic comments --partition 2 --start-offset 40"
    )
    assert TRANSACTION.message(PLAINTEXT).endswith(f" {command}")


def test_a_broker_with_accounts_needs_a_file_and_the_page_describes_it() -> None:
    message = TRANSACTION.message(PLAINTEXT.with_settings({"security.protocol": "SASL_SSL", "sasl.password": "secret"}))
    assert "kafka-transactions.sh --bootstrap-server kafka:9092 --command-config FILE abort --topic comments" in message
    assert "secret" not in message
    title = message.split('see "')[1].split('" in docs/deploy.md')[0]
    assert f"\n### {title}\n" in (ROOT / "docs" / "deploy.md").read_text()
