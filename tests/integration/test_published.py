"""Comparison of the published topics with the ledger on real servers: each fault has its own count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from batch.reconcile.published import compare_published
from batch.reconcile.tasks import require_published
from cli.main import app
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.row_records import row_records
from moderation.adapters.kafka.topics import producer_settings
from moderation.adapters.reconciliation.published_checks import PublishedCheck, ends_of_last_check
from moderation.adapters.reconciliation.runs import open_defects, recent_defects
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.published_rows import RowSelection, source_partitions
from moderation.contracts import Comment, to_json
from moderation.errors import DefectsFound
from moderation.settings import required
from moderation.timestamps import day_of, day_start_us, now_us
from tests.support.workers import SpeedLayerUnderTest

MINUTE_US = 60_000_000
RETIRED = date(2024, 2, 27)
"""An append day without a partition."""
_BODIES = ("Nice study, thanks.", "you idiot!!! {}", "FREE money at http://spam.example/{}", "Source? {}")


def send(layer: SpeedLayerUnderTest, count: int) -> None:
    """Send comments of the last two hours, and wait until all of them are published."""
    begun_us = now_us() - 120 * MINUTE_US
    comments = [
        Comment(f"c{n}", "science", _BODIES[n % 4].format(n), begun_us + n * 120 * MINUTE_US // count)
        for n in range(count)
    ]
    layer.produce([(each.comment_id, to_json(each)) for each in comments])
    layer.wait_accounted(count)
    wait_until(lambda: is_published(layer), seconds=30, description="everything published")


def is_published(layer: SpeedLayerUnderTest) -> bool:
    with connected(layer.database_url) as connection:
        row = connection.execute(
            "SELECT bool_and(published_next = next), count(panes_published_us) FROM speed.source_offsets "
            "WHERE topic_id = %s",
            (layer.topic_id,),
        ).fetchone()
    return row is not None and row[0] is True and row[1] > 0


def checked(layer: SpeedLayerUnderTest, days: Sequence[date]) -> dict[str, dict[str, int]]:
    """Return the defects by topic, summed over the days."""
    found: dict[str, dict[str, int]] = {}
    for day in days:
        for check in compare_published(layer.settings, day):
            assert check.skipped is None
            for name, count in {"compared": check.compared, **check.defects}.items():
                topic = found.setdefault(check.published, {})
                topic[name] = topic.get(name, 0) + count
    return found


def publish(layer: SpeedLayerUnderTest, topic: str, key: bytes, value: bytes) -> None:
    producer = Producer(producer_settings(kafka_of(layer.settings), 30))
    producer.produce(layer.settings.topic_prefix + topic, value, key)
    assert producer.flush(30) == 0


def position(layer: SpeedLayerUnderTest, partition: int, offset: int) -> bytes:
    """Return a forged value of topic ``decisions`` for a position of the source."""
    return json.dumps({"topic_id": str(layer.topic_id), "partition": partition, "offset": offset}).encode()


@pytest.mark.budget(40)
def test_each_fault_between_topics_and_ledger_is_counted(commanded: SpeedLayerUnderTest) -> None:
    layer = commanded
    layer.start_worker()
    send(layer, 400)
    layer.stop()
    today = day_of(now_us())
    days = sorted({day_of(now_us() - 121 * MINUTE_US), today})
    clean = checked(layer, days)
    assert clean["decisions"] == {"compared": 400}
    assert [clean[topic].keys() for topic in ("alerts", "panes")] == [{"compared"}, {"compared"}]
    assert min(clean["alerts"]["compared"], clean["panes"]["compared"]) > 5

    # A record that the ledger lacks, a foreign one, and another value of a decision.
    publish(layer, "decisions", b"c1", position(layer, 0, 10**6))
    publish(layer, "decisions", b"c1", position(layer, 0, 0))
    publish(layer, "alerts", b"c1", b"nonsense")
    # The pane of an hour that no comment has.
    key = json.dumps([str(layer.topic_id), 0, "nowhere", now_us() // 300_000_000 * 300_000_000, "1", "p"])
    publish(layer, "panes", key.encode(), b"{}")
    found = checked(layer, [today])
    assert found["decisions"] == {"compared": 400, "published_unknown": 1, "published_otherwise": 1}
    assert found["alerts"]["published_unknown"] == 1
    assert found["panes"]["published_unknown"] == 1
    with connected(required(layer.settings.database_url, "database_url")) as connection:
        since_us = now_us() - 60 * MINUTE_US
        assert recent_defects(connection, layer.topic, since_us) is None  # no day was reconciled
        assert dict(open_defects(connection, layer.topic, since_us)) == {today: 4}

    # A row of the ledger that was never published.
    with connected(layer.database_url) as connection, connection.transaction():
        connection.execute(
            'UPDATE speed.decisions SET "offset" = "offset" + 1000000 WHERE topic_id = %s AND partition = 1 '
            'AND "offset" = 0',
            (layer.topic_id,),
        )
        connection.execute(
            "UPDATE speed.source_offsets SET published_next = 2000000, next = 2000000 "
            "WHERE topic_id = %s AND partition = 1",
            (layer.topic_id,),
        )
    found = checked(layer, [today])
    assert found["decisions"]["unpublished"] == 1
    with pytest.raises(DefectsFound, match="decisions: 400 rows, 1 unpublished"):
        require_published({today: [PublishedCheck("decisions", 400, unpublished=1)]})

    result = CliRunner().invoke(app, ["compare-topics", "--date", today.isoformat(), "--json"], catch_exceptions=False)
    assert result.exit_code == 3
    assert [each["topic"] for each in json.loads(result.stdout)["topics"]] == ["decisions", "alerts", "panes"]
    old = compare_published(layer.settings, today - timedelta(days=8))
    assert all("keeps records for 7 days" in (check.skipped or "") for check in old)


@pytest.mark.budget(30)
def test_a_day_ends_at_the_next_decision_however_many_days_later_it_is(commanded: SpeedLayerUnderTest) -> None:
    layer = commanded
    layer.start_worker()
    send(layer, 100)
    layer.stop()
    with connected(layer.database_url) as connection:
        # Nothing is decided on the day after.
        connection.execute(
            'UPDATE speed.decisions SET append_day = append_day + CASE WHEN "offset" < 5 THEN 0 ELSE 2 END '
            "WHERE topic_id = %s",
            (layer.topic_id,),
        )
        [(day, count)] = connection.execute(
            'SELECT min(append_day), count(*) FILTER (WHERE "offset" < 5) FROM speed.decisions WHERE topic_id = %s',
            (layer.topic_id,),
        ).fetchall()
    assert checked(layer, [day])["decisions"] == {"compared": count}


@pytest.mark.budget(30)
def test_records_of_a_partition_that_decided_nothing_on_the_day_are_compared(commanded: SpeedLayerUnderTest) -> None:
    layer = commanded
    layer.start_worker()
    send(layer, 100)
    layer.stop()
    today = day_of(now_us())
    with connected(layer.database_url) as connection:
        moved = connection.execute(
            "UPDATE speed.decisions SET append_day = append_day - 1 WHERE topic_id = %s AND partition = 1",
            (layer.topic_id,),
        ).rowcount
    assert 5 < moved < 95
    assert checked(layer, [today])["decisions"] == {"compared": 100 - moved}, "rows of yesterday were published today"

    with connected(layer.database_url) as connection:
        bounds = RowSelection(partition=1, offsets=(0, 5))
        [source] = source_partitions(connection, layer.topic, 1)
        rows = row_records(connection, layer.topic, "decisions", source, bounds)
        for _, key, value in list(rows):
            publish(layer, "decisions", key, value)
    assert checked(layer, [today])["decisions"] == {"compared": 100 - moved}, "sent again with equal values"

    publish(layer, "decisions", b"c1", position(layer, 1, 0))
    publish(layer, "decisions", b"c1", position(layer, 1, moved))
    publish(layer, "decisions", b"c1", position(layer, 9, 0))
    assert checked(layer, [today])["decisions"] == {
        "compared": 100 - moved,
        "published_otherwise": 1,
        "published_unknown": 2,
    }


@pytest.mark.budget(30)
def test_records_whose_decisions_were_dropped_are_not_compared(commanded: SpeedLayerUnderTest) -> None:
    layer = commanded
    layer.start_worker()
    send(layer, 100)
    layer.stop()
    today = day_of(now_us())

    def execute(statement: str, *values: object) -> None:
        with connected(layer.database_url) as connection:
            connection.execute(statement.encode(), values)

    of_first = "WHERE topic_id = %s AND partition = 1"
    execute(f'DELETE FROM speed.decisions {of_first} AND "offset" < 5', layer.topic_id)
    assert checked(layer, [today])["decisions"]["published_unknown"] == 5
    day_us = day_start_us(RETIRED)
    execute(
        "INSERT INTO batch.files (path, topic, topic_id, partition, first_offset, next_offset, dt, rows, bytes, sha256,"
        " min_append_us, max_append_us, created_us) VALUES (%s, %s, %s, 1, 0, 4, %s, 4, 1, repeat('0', 64), %s, %s, 0)",
        *(f"{layer.topic}/0", layer.topic, layer.topic_id, RETIRED, day_us, day_us),
    )
    try:
        execute(f"CREATE TABLE speed.decisions_{RETIRED:%Y%m%d} ()")
        assert checked(layer, [today])["decisions"]["published_unknown"] == 5, "the day may have lost single rows"
        execute("INSERT INTO speed.retired_days (append_day, retired_us, rows, reason) VALUES (%s, 0, 4, '')", RETIRED)
        assert checked(layer, [today])["decisions"]["published_unknown"] == 1
        execute("DELETE FROM speed.retired_days WHERE append_day = %s", RETIRED)
        execute(f"DROP TABLE speed.decisions_{RETIRED:%Y%m%d}")
        assert checked(layer, [today])["decisions"]["published_unknown"] == 1
    finally:
        execute("DELETE FROM batch.files WHERE topic_id = %s", layer.topic_id)
        execute("DELETE FROM speed.retired_days WHERE append_day = %s", RETIRED)
        execute(f"DROP TABLE IF EXISTS speed.decisions_{RETIRED:%Y%m%d}")


@pytest.mark.budget(30)
def test_a_running_worker_causes_no_difference(commanded: SpeedLayerUnderTest) -> None:
    layer = commanded
    layer.start_worker()
    send(layer, 100)
    today = day_of(now_us())

    def decide_more() -> None:
        layer.produce([(f"m{n}", to_json(Comment(f"m{n}", "science", "Source?", now_us()))) for n in range(100)])
        layer.wait_accounted(len(layer.delivered))

    for check in compare_published(layer.settings, today, before_topics=decide_more):
        assert check.defects == {}
    with connected(layer.database_url) as connection:
        [(read_to,)] = connection.execute(
            "SELECT read_to FROM batch.published_checks WHERE topic = %s AND published = 'decisions'", (layer.topic,)
        ).fetchall()
        [(topic_id, ends)] = read_to.items()
        assert sum(ends.values()) >= 100
        tomorrow = today + timedelta(days=1)
        assert ends_of_last_check(connection, layer.topic, "decisions", tomorrow, UUID(topic_id)) == {
            int(partition): end for partition, end in ends.items()
        }
        assert ends_of_last_check(connection, layer.topic, "decisions", today, UUID(topic_id)) == {}
        assert ends_of_last_check(connection, layer.topic, "decisions", tomorrow, UUID(int=0)) == {}
