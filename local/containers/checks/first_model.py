"""A first model without training: the bootstrap model decides comments that this machine sends."""

from __future__ import annotations

import json
from typing import Any

from confluent_kafka import Producer

from local.containers.checks.kills import kill
from local.containers.checks.system import System, require
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topics import COMMENTS, producer_settings
from moderation.timestamps import now_us

COMMENTS_SENT = 200
_DELIVERY_SECONDS = 30.0


def bootstrap_model(system: System) -> dict[str, Any]:
    """A registered version reaches the worker, which decides, is killed and goes on; each offset is stored once.

    The version is registered by ``docker compose run`` and reaches the worker through the MLflow server, because the
    worker cannot reach the object store.
    """
    project = system.project
    version, seconds = serve_bootstrap_model(system)
    kafka = KafkaConnection.plaintext(f"127.0.0.1:{project.ports['KAFKA_PORT']}")
    send(kafka, "before")
    system.wait_for_decisions_in_all(COMMENTS_SENT)
    back = kill(system, ["worker"])
    send(kafka, "after")
    system.wait_for_decisions_in_all(2 * COMMENTS_SENT)
    system.require_once()
    served = project.sql("SELECT DISTINCT model_version FROM speed.decisions")
    require(served == [[version]], f"versions {served} decided, {version} was registered")
    return {
        "seconds_until_ready": round(seconds, 1),
        "seconds_until_healthy_after_the_kill": round(back, 1),
        "decisions": system.decisions(),
    }


def serve_bootstrap_model(system: System) -> tuple[str, float]:
    """Register the bootstrap model; return its version, and the seconds until the worker is ready with it."""
    project = system.project
    registered = json.loads(project.moderation("bootstrap", "--review-share", "0.5", "--json"))
    container = str(project.containers("worker")[0]["Id"])
    seconds = wait_until(
        lambda: project.ask_worker(container, "/ready").get("ready") is True,
        seconds=180,
        description="the worker with its first model",
        interval_seconds=1.0,
    )
    return str(registered["version"]), seconds


def send(kafka: KafkaConnection, prefix: str) -> None:
    """Send :data:`COMMENTS_SENT` comments from this machine through the published port.

    Args:
        kafka: the connection to that port.
        prefix: of the ids of the comments.

    Raises:
        StackError: the broker does not confirm them.
    """
    producer = Producer(producer_settings(kafka, _DELIVERY_SECONDS))
    for number in range(COMMENTS_SENT):
        name = f"{prefix}-{number}"
        fields = {"schema_version": 1, "comment_id": name, "community": "science", "body": f"A study of {name}."}
        producer.produce(COMMENTS.name, json.dumps({**fields, "event_time_us": now_us()}), key=name)
    waiting = producer.flush(2 * _DELIVERY_SECONDS)
    require(waiting == 0, f"Kafka did not confirm {waiting} comments")
