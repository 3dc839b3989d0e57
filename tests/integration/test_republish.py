"""Loss of a published topic under a running worker, and `moderation republish`, on real servers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from cli.main import app
from local.oracle import read_topic
from local.stack.attention import attention
from local.stack.ports import any_free_port
from local.stack.wait import wait_until
from moderation.adapters.kafka.acknowledged_sender import Headers
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.republisher import republish
from moderation.adapters.kafka.topics import ALERTS, DECISIONS, PANES, ensure_topics, missing_topics
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.published_rows import RowSelection
from moderation.contracts import RecordPosition, parse_record, to_json
from moderation.errors import ConfigurationError
from tests.support.workers import Record, SpeedLayerUnderTest, comments

HOST = "127.0.0.1"
HOUR_US = 3_600_000_000
TOPICS = {"decisions": DECISIONS, "alerts": ALERTS, "panes": PANES}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["republish", *map(str, arguments)], catch_exceptions=False)


def answer(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def hours_later(records: list[Record], hours: int) -> list[Record]:
    """Return the same comments at a later time, which close the panes of the earlier ones."""
    moved = []
    for key, value in records:
        comment = parse_record(value, 10**18)
        moved.append((key, to_json(replace(comment, event_time_us=comment.event_time_us + hours * HOUR_US))))
    return moved


def delete_topic(layer: SpeedLayerUnderTest, name: str) -> None:
    admin = AdminClient(kafka_of(layer.settings).librdkafka({"log_level": 2}))
    for future in admin.delete_topics([name]).values():
        future.result(30)
    wait_until(
        lambda: missing_topics(kafka_of(layer.settings), [name]) == [name],
        seconds=30,
        description="the end of the topic",
    )


def ready(layer: SpeedLayerUnderTest) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{layer.settings.worker_web_port}/ready", timeout=10) as found:
            return found.status, json.loads(found.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
    except OSError:
        return 0, {}


def is_published(layer: SpeedLayerUnderTest) -> bool:
    with psycopg.connect(layer.database_url) as connection:
        row = connection.execute(
            "SELECT bool_and(published_next = next) FROM speed.source_offsets WHERE topic_id = %s", (layer.topic_id,)
        ).fetchone()
    return row == (True,)


@pytest.mark.long
@pytest.mark.budget(90)
def test_a_lost_topic_does_not_stop_decisions_and_is_filled_from_the_ledger(commanded: SpeedLayerUnderTest) -> None:
    layer = commanded
    layer.settings = layer.settings.model_copy(update={"worker_host": HOST, "worker_web_port": any_free_port()})
    worker = layer.start_worker(web=True)
    layer.produce(comments(400))
    layer.wait_accounted(400)
    wait_until(lambda: is_published(layer), seconds=30, description="everything published")
    prefix, kafka = layer.settings.topic_prefix, kafka_of(layer.settings)
    assert ready(layer)[0] == 200

    delete_topic(layer, prefix + "decisions")
    layer.produce(comments(400, start=400))
    layer.produce(hours_later(comments(400, start=800), 2))
    layer.wait_accounted(1_200)
    wait_until(lambda: ready(layer)[0] == 503, seconds=30, description="the worker notices")
    status, shown = ready(layer)
    assert (status, shown["ready"], shown["missing"]) == (503, False, ["topics"])
    assert f"topic {prefix}decisions" in shown["reason"]
    assert "moderation topics" in shown["reason"]
    assert "moderation republish" in shown["reason"]
    assert any(f"{prefix}decisions" in sentence for sentence in attention(layer.settings))
    assert not is_published(layer)
    layer.produce(comments(100, start=1_200))
    layer.wait_accounted(1_300)
    assert worker.poll() is None
    with pytest.raises(ConfigurationError, match=r"does not exist.*moderation topics"):
        run("--topic", "decisions")

    ensure_topics(kafka, prefix=prefix)
    wait_until(lambda: ready(layer)[0] == 200, seconds=30, description="the topic is noticed")
    layer.produce(comments(100, start=1_300))
    layer.wait_accounted(1_400)
    wait_until(lambda: is_published(layer), seconds=30, description="everything published")
    assert worker.poll() is None
    lost = layer.comparison(topics_too=True)
    # Only records from before the deletion of the topic are missing.
    assert lost.topic_gaps == 400, lost.examples

    assert answer("--topic", "decisions", "--dry-run")["sent"] == 1_400
    sent = answer("--topic", "decisions")
    assert (sent["to_topic"], sent["sent"]) == (f"{prefix}decisions", 1_400)
    comparison = layer.comparison(topics_too=True)
    assert comparison.is_exact, comparison.examples


@pytest.mark.budget(60)
def test_records_are_the_workers_bytes_and_a_selection_or_an_interrupted_run_can_be_continued(
    commanded: SpeedLayerUnderTest,
) -> None:
    layer = commanded
    layer.start_worker()
    layer.produce([*comments(300), *hours_later(comments(300, start=300), 2)])
    layer.wait_accounted(600)
    wait_until(lambda: is_published(layer), seconds=30, description="everything published")
    prefix, kafka = layer.settings.topic_prefix, kafka_of(layer.settings)
    copies = {name: replace(topic, name=f"copy-of-{name}") for name, topic in TOPICS.items()}
    ensure_topics(kafka, copies.values(), prefix=prefix)
    for name in TOPICS:
        found = answer("--topic", name, "--to-topic", f"{prefix}copy-of-{name}")
        published = read_topic(kafka, prefix + name)
        assert found["sent"] == len(published) > 0
        copied = read_topic(kafka, f"{prefix}copy-of-{name}")
        assert sorted(copied.values()) == sorted(published.values())
        # The same partition shows that the key is the same.
        assert sorted((p, value) for (p, _), value in copied.items()) == sorted(
            (p, value) for (p, _), value in published.items()
        )

    with psycopg.connect(layer.database_url) as connection:
        rows = connection.execute(
            'SELECT partition, "offset" FROM speed.decisions WHERE topic_id = %s ORDER BY 1, 2', (layer.topic_id,)
        ).fetchall()
    own = [offset for partition, offset in rows if partition == 1]
    assert answer("--topic", "decisions", "--partition", 1, "--dry-run")["sent"] == len(own)
    few = answer("--topic", "decisions", "--partition", 1, "--offsets", "3:9", "--dry-run")
    assert (few["sent"], few["last"]) == (6, f"{layer.topic_id}/1/8")
    middle = f"{layer.topic_id}/{rows[249][0]}/{rows[249][1]}"
    assert answer("--topic", "decisions", "--after", middle, "--dry-run")["sent"] == 350
    assert answer("--topic", "decisions", "--to", "2020-01-01", "--dry-run")["sent"] == 0
    assert answer("--topic", "panes", "--from", "2023-11-14", "--to", "2023-11-14", "--dry-run")["sent"] > 0
    assert answer("--topic", "panes", "--from", "2023-11-16", "--dry-run")["sent"] == 0


class Interrupted(Exception):
    """Ends a run."""


class Broker:
    """Keeps acknowledged records; fails at one record."""

    def __init__(self, fails_at: int) -> None:
        self.pending: list[bytes] = []
        self.acknowledged: list[bytes] = []
        self._fails_at = fails_at

    def send(self, key: bytes, value: bytes, headers: Headers) -> None:
        assert list(headers) == [("republished", b"1")]
        if len(self.acknowledged) + len(self.pending) == self._fails_at:
            raise Interrupted
        self.pending.append(value)

    def wait(self) -> None:
        self.acknowledged += self.pending
        self.pending = []


def test_an_interrupted_run_reports_the_acknowledged_position_and_continues_behind_it(
    commanded: SpeedLayerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moderation.adapters.kafka.republisher.CHECKPOINT_RECORDS", 50)
    layer = commanded
    layer.start_worker()
    layer.produce(comments(300))
    layer.wait_accounted(300)
    first, second = Broker(fails_at=170), Broker(fails_at=-1)
    reached: list[RecordPosition | None] = []
    with connected(layer.database_url) as connection:
        chosen = RowSelection()
        with pytest.raises(Interrupted):
            republish(connection, layer.topic, "decisions", chosen, first, lambda done: reached.append(done.last))
        assert (len(first.acknowledged), len(reached)) == (150, 3)
        done = republish(connection, layer.topic, "decisions", chosen, second, lambda done: None, reached[-1])
    assert (done.sent, len(second.acknowledged)) == (150, 150)
    together = first.acknowledged + second.acknowledged
    assert len(set(together)) == 300
    wait_until(lambda: is_published(layer), seconds=30, description="everything published")
    published = read_topic(kafka_of(layer.settings), f"{layer.settings.topic_prefix}decisions")
    assert set(together) == set(published.values())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--topic", "comments"),
        ("--topic", "dead-letters"),
        ("--topic", "decisions", "--offsets", "0:5"),
        ("--topic", "decisions", "--partition", 1, "--offsets", "5:5"),
        ("--topic", "decisions", "--partition", 1, "--offsets", "0:" + "9" * 30),
        ("--topic", "panes", "--partition", 1, "--offsets", "0:5"),
        ("--topic", "decisions", "--partition", 2**31),
        ("--topic", "decisions", "--after", "1/2"),
        ("--topic", "decisions", "--from", "2026-02-01", "--to", "2026-01-31"),
    ],
)
def test_a_malformed_selection_is_refused(arguments: tuple[object, ...]) -> None:
    assert run(*arguments).exit_code == 2
