"""Worker on real servers: exact to the row despite kills, rebalances and bad records."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from mlflow import MlflowClient

from local.oracle import read_topic
from local.stack.commands import PartStatus, StackInfo, status, up
from local.stack.layout import StackLayout
from local.stack.wait import wait_until
from local.stack.worker import worker_program
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import ensure_topics
from moderation.bootstrap import load
from tests.support.certified import register
from tests.support.workers import RUN, SpeedLayerUnderTest, base_settings, comments, speed_layer


def test_decisions_equal_the_kernels_and_are_published_with_versions(layer: SpeedLayerUnderTest, model: Path) -> None:
    sent = comments(500)
    layer.produce(sent)
    worker = layer.start_worker()
    layer.wait_accounted(500)
    assert layer.comparison().is_exact

    opened = load(model, layer.settings)
    bodies = {key: json.loads(value)["body"] for key, value in sent}
    expected = dict(zip(bodies, opened.kernel.score_many(list(bodies.values())).tolist(), strict=True))
    with psycopg.connect(layer.database_url) as connection:
        rows = connection.execute(
            "SELECT comment_id, score_ppm, verdict, model_version, policy_version, kernel_version, fate, reasons, "
            "drawn_from FROM speed.decisions WHERE topic_id = %s",
            (layer.topic_id,),
        ).fetchall()
        served = connection.execute(
            "SELECT partition, from_offset, model_version FROM speed.served WHERE topic_id = %s", (layer.topic_id,)
        ).fetchall()
    assert {row[0]: row[1] for row in rows} == expected
    assert {row[3:7] for row in rows} == {("1", opened.policy.policy_version, "1", "counted")}
    assert {row[2] for row in rows if row[8] is None} == {"allow", "remove"}
    assert {(row[2], row[8]) for row in rows if row[8] is not None} <= {("review", "remove")}, "of exploration only"
    assert all((row[7] is None) == (row[2] == "allow") for row in rows)
    assert sorted(served) == [(partition, 0, "1") for partition in range(4)]

    # A clean stop publishes everything and stores the published offsets.
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    with psycopg.connect(layer.database_url) as connection:
        behind = connection.execute(
            "SELECT count(*) FROM speed.source_offsets WHERE topic_id = %s AND published_next <> next",
            (layer.topic_id,),
        ).fetchone()
    assert behind == (0,)
    prefix = layer.settings.topic_prefix
    published = read_topic(kafka_of(layer.settings), prefix + "decisions").values()
    assert {(d["comment_id"], d["score_ppm"]) for d in map(json.loads, published)} == set(expected.items())
    assert len(published) == 500
    alerts = [json.loads(value) for value in read_topic(kafka_of(layer.settings), prefix + "alerts").values()]
    assert {alert["decision"]["comment_id"] for alert in alerts} == {row[0] for row in rows if row[2] != "allow"}
    assert all(alert["reasons"] for alert in alerts)


@pytest.mark.budget(30)
def test_moving_the_alias_swaps_the_model_without_a_restart(
    stack: StackInfo, model: Path, topic_prefix: str, tmp_path: Path
) -> None:
    ensure_topics(stack.kafka, prefix=topic_prefix)
    name = f"swap-tests-{RUN}"
    settings = base_settings(stack, topic_prefix).model_copy(update={"model_name": name})
    assert [register(model, settings, "for the swap") for _ in range(2)] == [("1", True), ("2", False)]
    with speed_layer(settings, tmp_path) as layer:
        worker = layer.start_worker()
        layer.produce(comments(400))
        layer.wait_accounted(400)
        MlflowClient(stack.mlflow_url).set_registered_model_alias(name, "production", "2")
        log = tmp_path / "worker-0.log"
        wait_until(lambda: "model version 2 serves" in log.read_text(), seconds=30, description="the swap")
        layer.produce(comments(400, start=400))
        layer.wait_accounted(800)
        assert worker.poll() is None
        assert layer.comparison().is_exact
        with psycopg.connect(layer.database_url) as connection:
            counts = connection.execute(
                "SELECT model_version, count(*) FROM speed.decisions WHERE topic_id = %s GROUP BY 1 ORDER BY 1",
                (layer.topic_id,),
            ).fetchall()
            wrong = connection.execute(
                "SELECT count(*) FROM speed.decisions d WHERE topic_id = %s AND model_version <> (SELECT model_version "
                "FROM speed.served s WHERE (s.topic_id, s.partition) = (d.topic_id, d.partition) "
                'AND s.from_offset <= d."offset" ORDER BY s.from_offset DESC LIMIT 1)',
                (layer.topic_id,),
            ).fetchone()
    assert counts == [("1", 400), ("2", 400)]
    assert wrong == (0,)


def test_the_oracle_detects_lost_doubled_altered_invented_and_undelivered_records(layer: SpeedLayerUnderTest) -> None:
    layer.produce(comments(100))
    worker = layer.start_worker()
    layer.wait_accounted(100)
    worker.kill()
    assert layer.comparison().is_exact
    places = sorted((delivered.partition, delivered.offset) for delivered in layer.delivered)
    one = 'topic_id = %s AND partition = %s AND "offset" = %s'
    with psycopg.connect(layer.database_url) as connection:
        connection.execute(f"DELETE FROM speed.decisions WHERE {one}", (layer.topic_id, *places[0]))
        connection.execute(f"UPDATE speed.decisions SET record_id = '\\x00' WHERE {one}", (layer.topic_id, *places[1]))
        connection.execute(
            "INSERT INTO speed.dead_letters VALUES (%s, %s, %s, 0, 'empty', '', '', 0, '')",
            (layer.topic_id, *places[2]),
        )
        connection.execute('UPDATE speed.decisions SET "offset" = 1000000 WHERE ' + one, (layer.topic_id, *places[3]))
    layer.delivered[4] = replace(layer.delivered[4], value_sha256="0" * 64)
    found = layer.comparison()
    # The invented dead letter has another position and other bytes than the record.
    assert (found.lost, found.altered, found.doubled, found.phantom, found.undelivered) == (2, 2, 1, 1, 1)
    assert found.fate_mismatches + found.pane_mismatches > 0
    assert not found.is_exact


def test_one_percent_of_malformed_records_become_dead_letters_and_stop_nothing(layer: SpeedLayerUnderTest) -> None:
    broken = [b"", b"not json", b"[]", b"{}", b'{"schema_version":1}', b"\0", b"\xff\xfe", b"[" * 3_000, b"7", b'"x"']
    sent = comments(2_000)
    for place, value in enumerate(broken * 2):
        sent.insert(place * 100, (f"broken{place}", value))
    layer.start_worker()
    layer.produce(sent)
    layer.wait_accounted(len(sent))
    found = layer.comparison()
    assert found.is_exact
    assert (found.decisions, found.dead_letters) == (2_000, 20)
    with psycopg.connect(layer.database_url) as connection:
        reasons = connection.execute(
            "SELECT reason, raw_length FROM speed.dead_letters WHERE topic_id = %s", (layer.topic_id,)
        ).fetchall()
    assert Counter(reason for reason, _ in reasons) == {
        "empty": 2,
        "not_json": 8,
        "not_an_object": 6,
        "missing_field": 4,
    }
    assert sorted(length for _, length in reasons) == sorted(map(len, broken * 2))


@pytest.mark.long
def test_three_kills_lose_and_double_nothing(stack: StackInfo, layer: SpeedLayerUnderTest) -> None:
    """The supervisor restarts the worker each time."""
    layout = StackLayout(stack.root)
    name = "worker-killed"
    up(layout, extra_programs=[worker_program(layout, stack, layer.settings, name, web=False)])

    def worker() -> PartStatus:
        return next(part for part in status(layout) if part.name == name)

    replayed = threading.Thread(
        target=lambda: [layer.produce(comments(100, start=number * 100)) for number in range(90)]
    )
    replayed.start()
    for kills in range(3):
        before = layer.accounted()
        wait_until(lambda: layer.accounted() > before, seconds=90, description="the worker stores something")  # noqa: B023
        os.kill(worker().pid, signal.SIGKILL)
        wait_until(
            lambda: worker().restarts > kills and worker().pid > 0,  # noqa: B023
            seconds=60,
            description="the supervisor starts the worker again",
        )
        layer.produce(comments(500, start=100_000 + kills * 500))
    replayed.join()
    layer.wait_accounted(10_500)
    found = layer.comparison()
    assert found.is_exact, found
    assert found.decisions == 10_500
    _every_decision_is_published(layer, 10_500)


@pytest.mark.long
def test_a_second_worker_takes_its_share_and_takes_over(layer: SpeedLayerUnderTest) -> None:
    first = layer.start_worker()
    layer.produce(comments(1_000))
    layer.wait_accounted(1_000)
    second = layer.start_worker()
    layer.produce(comments(14_000, start=1_000))
    layer.wait_accounted(15_000)
    wait_until(
        lambda: "deciding with" in (layer.folder / "worker-1.log").read_text(),
        seconds=60,
        description="the second worker runs",
    )
    layer.produce(comments(1_000, start=15_000))
    layer.wait_accounted(16_000)
    # No worker lost its fence: a joining member ends no other.
    assert (first.poll(), second.poll()) == (None, None)
    first.kill()
    layer.produce(comments(2_000, start=16_000))
    layer.wait_accounted(18_000)
    assert second.poll() is None
    assert layer.comparison().is_exact


@pytest.mark.long
def test_a_recreated_topic_stops_the_worker_for_good(layer: SpeedLayerUnderTest) -> None:
    from confluent_kafka.admin import AdminClient

    layer.produce(comments(50))
    worker = layer.start_worker()
    layer.wait_accounted(50)
    worker.kill()
    worker.wait(10)
    admin = AdminClient(kafka_of(layer.settings).librdkafka())
    for future in admin.delete_topics([layer.topic]).values():
        future.result(30)
    wait_until(
        lambda: layer.topic not in admin.list_topics(timeout=10).topics, seconds=30, description="the topic is gone"
    )
    ensure_topics(kafka_of(layer.settings), prefix=layer.settings.topic_prefix)
    refused = layer.start_worker()
    assert refused.wait(60) == 78
    assert "was re-created" in (layer.folder / "worker-1.log").read_text()


def _every_decision_is_published(layer: SpeedLayerUnderTest, count: int) -> None:
    """Assert that each key was published and all values of one key and offset are equal."""

    def published() -> dict[tuple[int, int], set[bytes]]:
        values: dict[tuple[int, int], set[bytes]] = {}
        topic = layer.settings.topic_prefix + "decisions"
        for value in read_topic(kafka_of(layer.settings), topic).values():
            fields = json.loads(value)
            values.setdefault((fields["partition"], fields["offset"]), set()).add(value)
        return values

    wait_until(lambda: len(published()) == count, seconds=30, description="every decision is published")
    assert {len(values) for values in published().values()} == {1}
