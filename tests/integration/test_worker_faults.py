"""Worker with failing servers, broken input or a stopped clock."""

from __future__ import annotations

import json
import signal
import time

import psycopg
import pytest

from local.oracle import read_topic
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.contracts import Comment, to_json
from moderation.panes import PANE_US
from tests.support.workers import SpeedLayerUnderTest, comments

MINUTE_US = 60 * 1_000_000
START_US = 1_700_000_000_000_000 // (12 * PANE_US) * 12 * PANE_US


@pytest.mark.budget(20)
def test_broken_database_connections_are_reopened_in_the_same_process(layer: SpeedLayerUnderTest) -> None:
    worker = layer.start_worker()
    sent = layer.produce(comments(200))
    layer.wait_accounted(sent)
    with psycopg.connect(layer.database_url, autocommit=True) as connection:
        for _ in range(5):
            sent += layer.produce(comments(400, start=sent))
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
            layer.wait_accounted(sent)
    assert worker.poll() is None
    assert "trying again" in (layer.folder / "worker-0.log").read_text()
    assert layer.comparison().is_exact


@pytest.mark.long
def test_a_worker_frozen_in_its_transaction_loses_its_partitions_and_changes_nothing(
    layer: SpeedLayerUnderTest,
) -> None:
    orders = layer.folder / "orders"
    orders.mkdir()
    layer.settings = layer.settings.model_copy(update={"fault_points": orders})
    zombie = layer.start_worker()
    layer.produce(comments(300))
    layer.wait_accounted(300)
    (orders / "after_copy").write_text("stop")
    layer.produce(comments(300, start=300))
    wait_until(lambda: not (orders / "after_copy").exists(), seconds=30, description="the worker freezes")
    heir = layer.start_worker()
    layer.produce(comments(300, start=600))
    layer.wait_accounted(900)
    zombie.send_signal(signal.SIGCONT)
    assert zombie.wait(30) == 75
    layer.produce(comments(300, start=900))
    layer.wait_accounted(1_200)
    assert heir.poll() is None
    assert layer.comparison().is_exact


@pytest.mark.long
def test_too_many_unreadable_records_stop_the_worker_for_good_and_nothing_is_dropped(
    layer: SpeedLayerUnderTest,
) -> None:
    layer.settings = layer.settings.model_copy(update={"dead_letter_run": 50})
    worker = layer.start_worker()
    layer.produce(("k", b"nonsense") for _ in range(60))
    assert worker.wait(60) == 78
    assert "unreadable records in a row" in (layer.folder / "worker-0.log").read_text()
    layer.start_worker()
    layer.produce(comments(100))
    layer.wait_accounted(160)
    found = layer.comparison()
    assert found.is_exact
    assert (found.decisions, found.dead_letters) == (100, 60)


@pytest.mark.long
def test_panes_close_once_the_watermark_reaches_their_end_and_never_by_idleness(layer: SpeedLayerUnderTest) -> None:
    def at(number: int, minutes: int, comment_id: str = "same-partition") -> tuple[str, bytes]:
        comment = Comment(comment_id, "science", f"text {number}", START_US + minutes * MINUTE_US)
        return comment_id, to_json(comment)

    topic = layer.settings.topic_prefix + "panes"

    def published() -> list[tuple[int, int]]:
        panes = map(json.loads, read_topic(kafka_of(layer.settings), topic).values())
        return sorted(((pane["start_us"] - START_US) // MINUTE_US, pane["comments"]) for pane in panes)

    layer.start_worker()
    layer.produce([at(1, 0), at(2, 1), at(2, 1), at(3, 6), at(4, 14)])
    layer.wait_accounted(5)
    assert published() == []
    layer.produce([at(5, 15)])
    wait_until(lambda: published() == [(0, 2)], seconds=30, description="the first pane is published")
    layer.produce([at(6, 2), at(7, 5)])  # one late, one in time
    layer.wait_accounted(8)
    idle_until = time.monotonic() + 3
    wait_until(lambda: time.monotonic() > idle_until, seconds=10, description="a while without records")
    assert published() == [(0, 2)]
    layer.produce([at(8, 60)])
    wait_until(lambda: len(published()) == 4, seconds=30, description="the others are published")
    assert published() == [(0, 2), (5, 2), (10, 1), (15, 1)]

    with psycopg.connect(layer.database_url) as connection:
        fates = connection.execute(
            'SELECT fate FROM speed.decisions WHERE topic_id = %s ORDER BY "offset"', (layer.topic_id,)
        ).fetchall()
        tumbling = connection.execute(
            "SELECT start_us, comments, late FROM serving.tumbling_windows WHERE topic_id = %s ORDER BY 1",
            (layer.topic_id,),
        ).fetchall()
        hopping = connection.execute(
            "SELECT start_us, comments FROM serving.hopping_windows WHERE topic_id = %s ORDER BY 1", (layer.topic_id,)
        ).fetchall()
    counted, late = "counted", "late"
    assert [fate for (fate,) in fates] == [
        counted,
        counted,
        "duplicate",
        counted,
        counted,
        counted,
        late,
        counted,
        counted,
    ]
    assert tumbling == [(START_US, 6, 1), (START_US + 60 * MINUTE_US, 1, 0)]
    assert {(start - START_US) // MINUTE_US: count for start, count in hopping}[0] == 6
    assert [count for _, count in hopping] == [2, 4, 5, *[6] * 9, 4 + 1, 2 + 1, 1 + 1, *[1] * 9]


@pytest.mark.long
def test_a_topic_that_lost_records_of_the_ledger_stops_the_worker_for_good(layer: SpeedLayerUnderTest) -> None:
    """Otherwise new records would get offsets that count as decided, and be skipped."""
    worker = layer.start_worker()
    layer.produce(comments(100))
    layer.wait_accounted(100)
    worker.kill()
    worker.wait(10)
    with psycopg.connect(layer.database_url) as connection:
        connection.execute(
            "UPDATE speed.source_offsets SET next = next + 1000 WHERE topic_id = %s AND partition = 2",
            (layer.topic_id,),
        )
    assert layer.start_worker().wait(90) == 78
    assert "partition 2: it ends at" in (layer.folder / "worker-1.log").read_text()
