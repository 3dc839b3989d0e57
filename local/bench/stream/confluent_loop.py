"""Baseline: consume a thousand records, score them with the kernel, produce the results.

It has no ledger, no exactly-once guarantee, no panes and no event time. Run as a program; its only argument is JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer

from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.model_folder.folder import open_model
from moderation.scoring import reasons_many
from moderation.text import Lexicon

SETTINGS: dict[str, Any] = {
    "consume": 1_000,
    "linger.ms": 20,
    "compression.type": "lz4",
    "partitioner": "murmur2_random",
}


def main(bootstrap: str, topic: str, prefix: str, model: str, group: str) -> None:
    """Loop until killed."""
    opened = open_model(Path(model), Lexicon(), 256 * 1024 * 1024)
    kernel, policy = opened.kernel, opened.policy
    producing = {name: value for name, value in SETTINGS.items() if name != "consume"}
    kafka = KafkaConnection.plaintext(bootstrap)
    producer = Producer(kafka.librdkafka({"queue.buffering.max.messages": 1_000_000, **producing}))
    consumer = Consumer(kafka.librdkafka({"group.id": group, "auto.offset.reset": "earliest"}))
    consumer.subscribe([topic])
    while True:
        messages = consumer.consume(SETTINGS["consume"], timeout=0.1)
        comments = [(message, orjson.loads(message.value() or b"{}")) for message in messages]
        scores = kernel.score_many([fields["body"] for _, fields in comments])
        verdicts = policy.verdicts(scores)
        alerted = [
            fields["body"] for (_, fields), verdict in zip(comments, verdicts, strict=True) if verdict != "allow"
        ]
        reasons = iter(reasons_many(kernel, alerted, 3))
        for (message, fields), score_ppm, verdict in zip(comments, scores.tolist(), verdicts, strict=True):
            key = fields["comment_id"]
            decision = {
                "topic": topic,
                "partition": message.partition(),
                "offset": message.offset(),
                "comment_id": key,
                "community": fields["community"],
                "event_time_us": fields["event_time_us"],
                "score_ppm": score_ppm,
                "verdict": verdict,
                "model_version": "1",
                "policy_version": policy.policy_version,
                "schema_version": 1,
            }
            producer.produce(prefix + "decisions", orjson.dumps(decision), key)
            if verdict != "allow":
                alert = {"decision": decision, "reasons": next(reasons)}
                producer.produce(prefix + "alerts", orjson.dumps(alert), key)
        producer.poll(0)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
