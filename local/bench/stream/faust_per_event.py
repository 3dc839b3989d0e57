"""Baseline: Faust as in its documentation, one event at a time, with the kernel in process and ``topic.send``.

Run as a program with Faust's own options; the first argument is JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import faust
import orjson

from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.model_folder.folder import open_model
from moderation.text import Lexicon
from stream.faust_app import broker_options


def new_app(bootstrap: str, topic: str, prefix: str, model: str, group: str) -> faust.App:
    """Return the app."""
    opened = open_model(Path(model), Lexicon(), 256 * 1024 * 1024)
    kernel, policy = opened.kernel, opened.policy
    app = faust.App(
        group,
        **broker_options(KafkaConnection.plaintext(bootstrap)),
        value_serializer="raw",
        key_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )
    decisions, alerts = app.topic(prefix + "decisions"), app.topic(prefix + "alerts")

    @app.agent(app.topic(topic))
    async def decide(stream: Any) -> None:
        async for value in stream:
            fields = orjson.loads(value)
            score_ppm = kernel.score_one(fields["body"])
            verdict = policy.verdict(score_ppm)
            key = fields["comment_id"].encode()
            decision = orjson.dumps({"comment_id": fields["comment_id"], "score_ppm": score_ppm, "verdict": verdict})
            await decisions.send(key=key, value=decision)
            if verdict != "allow":
                await alerts.send(key=key, value=decision)

    return app


if __name__ == "__main__":
    options = json.loads(sys.argv.pop(1))
    new_app(**options).main()
