"""No Kafka client is created without the connection that the settings describe."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

CLIENTS = {
    "AdminClient",
    "AIOKafkaAdminClient",
    "AIOKafkaClient",
    "AIOKafkaConsumer",
    "AIOKafkaProducer",
    "Consumer",
    "DeserializingConsumer",
    "Producer",
    "SerializingProducer",
}
"""Classes of clients of confluent_kafka and aiokafka."""
CONNECTED = {"librdkafka", "aiokafka", "producer_settings", "broker_options"}
"""Functions whose result contains the connection."""
CODE = ("moderation", "stream", "batch", "dags", "grafana", "local", "cli", "tests")
CONNECTION = Path("moderation/adapters/kafka/connection.py")
WITH_ADDRESSES = {
    CONNECTION,
    Path("moderation/kafka_settings.py"),
    Path("local/stack/commands.py"),
    Path("local/stack/worker.py"),
    Path("cli/stack.py"),
}
"""Files outside of tests that may use the addresses: the settings, the connection, and what shows or sets them."""


def name_of(function: ast.expr) -> str:
    """Return the last part of a called name."""
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def is_connected(call: ast.Call, module: ast.Module) -> bool:
    """Whether the arguments of a client contain a connection, directly or by a variable or function of the file."""
    seen: set[str] = set()
    waiting: list[ast.AST] = [*call.args, *call.keywords]
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Call) and name_of(node.func) in CONNECTED:
                return True
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                waiting += [
                    each.value
                    for each in ast.walk(module)
                    if isinstance(each, ast.Assign | ast.AnnAssign)
                    and each.value is not None
                    and node.id
                    in {name_of(t) for t in (each.targets if isinstance(each, ast.Assign) else [each.target])}
                ]
    return False


def complaints(path: Path, text: str) -> Iterator[str]:
    """Describe clients without a connection, and addresses that are passed around."""
    module = ast.parse(text)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("confluent_kafka", "aiokafka")
        for alias in node.names
    }
    for node in ast.walk(module):
        line = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call):
            name = name_of(node.func)
            is_client = name in CLIENTS & imported or ast.unparse(node.func) == "faust.App"
            if is_client and not is_connected(node, module):
                yield f"{line}: {name} without the connection of the settings"
        if path.parts[0] == "tests" or path in WITH_ADDRESSES:
            continue
        if isinstance(node, ast.Attribute) and node.attr == "kafka_bootstrap":
            yield f"{line}: addresses without the rest of the connection"
        is_address = isinstance(node, ast.Constant) and node.value in ("bootstrap.servers", "bootstrap_servers")
        if is_address and not _names_a_setting(node, module):
            yield f"{line}: a configuration that {CONNECTION} does not make"


def _names_a_setting(constant: ast.AST, module: ast.Module) -> bool:
    """Whether a text is only the argument of `setting`, which gives a name for messages."""
    return any(
        isinstance(node, ast.Call) and name_of(node.func) in ("setting", "refusal") and constant in node.args
        for node in ast.walk(module)
    )


def test_every_client_gets_the_connection() -> None:
    files = [path.relative_to(ROOT) for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]
    clients = 0
    found = []
    for path in files:
        text = (ROOT / path).read_text()
        if "kafka" in text or "faust" in text:
            clients += sum(text.count(f"{name}(") for name in CLIENTS)
            found += list(complaints(path, text))
    assert found == []
    assert clients > 50


@pytest.mark.parametrize(
    "text",
    [
        "from confluent_kafka import Producer\nProducer({'client.id': address})",
        "from confluent_kafka.admin import AdminClient\nown = {'log_level': 2}\nAdminClient(own)",
        "from aiokafka import AIOKafkaConsumer\nAIOKafkaConsumer(group_id=group)",
        "import faust\nfaust.App('x', broker=f'kafka://{address}')",
        "check(settings.kafka_bootstrap)",
        "own = {'bootstrap.servers': address}",
    ],
)
def test_a_client_without_the_connection_is_detected(text: str) -> None:
    assert len(list(complaints(Path("stream/x.py"), text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "from confluent_kafka import Producer\nown = producer_settings(kafka, 1) | {'linger.ms': 5}\nProducer(own)",
        "from aiokafka import AIOKafkaConsumer\nAIOKafkaConsumer(group_id=group, **kafka.aiokafka())",
        "import faust\nfaust.App('x', **broker_options(kafka))",
        "remedy = kafka.setting('bootstrap.servers')",
    ],
)
def test_a_client_with_the_connection_is_accepted(text: str) -> None:
    assert list(complaints(Path("stream/x.py"), text)) == []
