"""Hostile records: the worker decides the others and names the ones that it cannot decide.

Adds to test_worker's malformed records what parses and still fails, what other clients can send, and long runs of
unreadable records with the settings as documented.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from local.chaos.odd_batches import send_one_huge_record, send_with_header_names
from local.oracle import DeliveryReport
from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.record_batches import MOST_UNPACKED_BYTES
from moderation.contracts import DeadLetterReason
from tests.support.dag_runs import DagRuns
from tests.support.lakes import LakeUnderTest
from tests.support.reconcile_day import DAY, DayUnderTest
from tests.support.reconcile_day import comments as day_comments
from tests.support.workers import Record, SpeedLayerUnderTest, comments

WORD = "unmistakable-words-of-a-comment"


def with_body(number: int, body: str, comment_id: str | None = None) -> Record:
    """Return a usual comment with another text."""
    key, value = comments(1, start=number)[0]
    fields = json.loads(value) | {"body": body, "comment_id": comment_id or f"odd{number}"}
    return key, json.dumps(fields).encode()


def letters(layer: SpeedLayerUnderTest) -> Counter[str]:
    """Return the number of dead letters by reason."""
    with psycopg.connect(layer.database_url) as connection:
        rows = connection.execute("SELECT reason FROM speed.dead_letters WHERE topic_id = %s", (layer.topic_id,))
        return Counter(reason for (reason,) in rows)


def failures(layer: SpeedLayerUnderTest) -> dict[str, int]:
    """Return the error names of quarantined records and their counts."""
    with psycopg.connect(layer.database_url) as connection:
        rows = connection.execute(
            "SELECT detail, count(*) FROM speed.dead_letters WHERE topic_id = %s AND reason = %s GROUP BY 1",
            (layer.topic_id, DeadLetterReason.PROCESSING_FAILED.value),
        ).fetchall()
    return {detail.rpartition(": ")[2]: count for detail, count in rows}


def test_a_nul_from_cleaning_is_removed_from_the_reasons(layer: SpeedLayerUnderTest) -> None:
    worker = layer.start_worker()
    layer.produce([*comments(100), with_body(1, "you idiot<U+0000>!!!"), *comments(100, start=100)])
    layer.wait_accounted(201)
    assert worker.poll() is None
    assert letters(layer) == {}
    assert layer.comparison().is_exact
    with psycopg.connect(layer.database_url) as connection:
        row = connection.execute(
            "SELECT verdict, reasons FROM speed.decisions WHERE topic_id = %s AND comment_id = 'odd1'",
            (layer.topic_id,),
        ).fetchone()
    assert row is not None
    assert row[0] != "allow"
    assert any("idiot" in reason for reason in row[1])


def test_failing_records_are_quarantined_by_name_and_their_text_is_in_no_log(
    layer: SpeedLayerUnderTest,
) -> None:
    worker = layer.start_worker(("tests.support.failing_worker", WORD))
    sent = comments(600)
    for place in (0, 150, 151, 599):
        sent.insert(place, with_body(place, f"a text with {WORD}"))
    layer.produce(sent)
    layer.wait_accounted(604)
    assert worker.poll() is None
    assert failures(layer) == {"ZeroDivisionError": 4}
    assert letters(layer) == {"processing_failed": 4}
    found = layer.comparison()
    assert found.is_exact
    assert (found.decisions, found.dead_letters) == (600, 4)
    log = (layer.folder / "worker-0.log").read_text()
    assert "goes into quarantine: ZeroDivisionError" in log
    assert WORD not in log


@pytest.fixture
def refusing(layer: SpeedLayerUnderTest) -> Iterator[str]:
    """Make PostgreSQL refuse a comment id, as it refuses a value that its column cannot store."""
    comment_id, name = f"refused-{layer.settings.topic_prefix}", sql.Identifier("refused_in_a_test")
    with psycopg.connect(layer.database_url, autocommit=True) as connection:
        check = sql.SQL("ALTER TABLE speed.decisions ADD CONSTRAINT {} CHECK (comment_id <> {}) NOT VALID")
        connection.execute(check.format(name, sql.Literal(comment_id)))
        yield comment_id
        connection.execute(sql.SQL("ALTER TABLE speed.decisions DROP CONSTRAINT {}").format(name))


@pytest.mark.long
@pytest.mark.budget(30)
def test_unstorable_records_are_quarantined_and_do_not_stop_the_next_start(
    layer: SpeedLayerUnderTest, refusing: str, stack: StackInfo
) -> None:
    worker = layer.start_worker()
    sent = comments(1_500)
    for place in (10, 700, 701):
        sent.insert(place, with_body(place, f"{WORD} {place}", comment_id=refusing))
    layer.produce(sent)
    layer.wait_accounted(1_503)
    assert worker.poll() is None
    assert failures(layer) == {"CheckViolation": 3}
    worker.kill()
    layer.start_worker()
    layer.produce(comments(100, start=1_500))
    layer.wait_accounted(1_603)
    found = layer.comparison()
    assert found.is_exact
    assert found.decisions == 1_600
    assert WORD not in (layer.folder / "worker-0.log").read_text()
    servers_log = StackLayout(stack.root).log_file("postgres").read_text()
    assert "refused_in_a_test" in servers_log
    assert refusing not in servers_log


@pytest.mark.long
@pytest.mark.budget(200)
def test_no_log_of_any_part_has_words_of_a_comment(
    layer: SpeedLayerUnderTest, refusing: str, stack: StackInfo, dag_runs: DagRuns, tmp_path: Path
) -> None:
    """Logs of worker, servers, archive and reconciliation over records that fail at every stage."""
    decided, unreadable = "plainly-decided-words", "words-that-cannot-be-parsed"
    layer.settings = layer.settings.model_copy(update={"log_level": "debug"})
    day = DayUnderTest(layer, tmp_path)
    layer.start_worker(("tests.support.failing_worker", WORD))
    values = [json.loads(value) for _, value in day_comments(range(40))]
    made = [
        *({**values[number], "body": f"{decided}, you idiot!!! {number}"} for number in range(20)),
        *({**values[number], "body": f"a text with {WORD} {number}"} for number in range(20, 25)),
        *({**values[number], "body": f"{decided} {number}", "comment_id": refusing} for number in range(25, 28)),
        *({**values[number], "body": unreadable, "event_time_us": unreadable} for number in range(28, 32)),
        *({**values[number], "body": unreadable, unreadable: 1} for number in range(32, 36)),
    ]
    records = [json.dumps(each).encode() for each in made] + [unreadable.encode()] * 4
    layer.produce([(f"k{number}", value) for number, value in enumerate(records)])
    layer.wait_accounted(len(records))
    # A missing row is a defect: the run fails and its log has the traceback.
    (gone,) = day.execute(
        'DELETE FROM speed.decisions WHERE topic_id = %s AND (partition, "offset") = (SELECT partition, "offset" '
        'FROM speed.decisions WHERE topic_id = %s ORDER BY 1, 2 LIMIT 1) RETURNING "offset"',
        *(layer.topic_id, layer.topic_id),
    )
    run = dag_runs.run("reconcile_windows", day.settings, {"day": DAY.isoformat()})
    assert (run.state, run.tasks["archive"]) == ("failed", "success"), (gone, run.tasks)
    assert "DefectsFound" in run.output
    layout = StackLayout(stack.root)
    logs = {
        str(path): path.read_text(errors="replace") for path in (*layout.log.glob("*"), *layer.folder.glob("*.log"))
    }
    logs["the runs of archive and reconciliation"] = run.output
    assert {"postgres.log", "kafka.log", "mlflow.log", "worker-0.log"} <= {Path(name).name for name in logs}
    assert "goes into quarantine" in logs[str(layer.folder / "worker-0.log")]
    words = (WORD, decided, unreadable)
    assert [(name, word) for name, text in logs.items() for word in words if word in text] == []


def test_long_runs_of_unreadable_records_stop_nothing(layer: SpeedLayerUnderTest) -> None:
    worker = layer.start_worker()
    good = json.loads(comments(1)[0][1])
    kinds = {
        "time in seconds": json.dumps(good | {"event_time_us": 1_700_000_000}).encode(),
        "half a record": json.dumps(good)[:40].encode(),
        "tombstone": b"",
        "new field": json.dumps(good | {"new_field": None}).encode(),
        "half an emoji": json.dumps(good | {"body": "half \ud83d"}).encode(),
    }
    for value in kinds.values():
        layer.produce([("the same key", value)] * 250)
    layer.produce(comments(300))
    layer.wait_accounted(1_550)
    assert worker.poll() is None
    assert letters(layer) == {"past_dated": 250, "not_json": 250, "empty": 250}
    found = layer.comparison()
    assert found.is_exact
    assert found.decisions == 800, "the new field and half an emoji are decided"


def archived(layer: SpeedLayerUnderTest, folder: Path) -> LakeUnderTest:
    """Run the archive twice: the first run has no errors, the second archives nothing."""
    lake = LakeUnderTest(layer.settings.model_copy(update={"lake_url": str(folder / "lake")}))
    lake.archive()
    assert all(each.rows == 0 for topic in lake.archive().topics for each in topic.partitions)
    found = lake.inspect()
    assert found.is_whole, found.defects
    return lake


def test_an_oversized_batch_is_reported_as_lost_and_the_others_are_decided_and_archived(
    layer: SpeedLayerUnderTest, tmp_path: Path
) -> None:
    worker = layer.start_worker()
    layer.produce(comments(100))
    size_bytes = MOST_UNPACKED_BYTES + 1_000
    offset, digest = send_one_huge_record(kafka_of(layer.settings), layer.topic, size_bytes)
    layer.delivered.append(DeliveryReport(0, offset, digest))
    layer.produce(comments(100, start=100))
    layer.wait_accounted(201)
    assert worker.poll() is None
    found = layer.comparison()
    assert found.is_exact, found
    assert (found.decisions, found.unreadable_offsets) == (200, 1)
    lake = archived(layer, tmp_path)
    assert len(lake.content()) == 200
    with psycopg.connect(layer.database_url) as connection:
        for query in ("SELECT first_offset, cause FROM speed.holes", "SELECT first_offset, cause FROM batch.holes"):
            rows = connection.execute(f"{query} WHERE topic_id = %s", (layer.topic_id,)).fetchall()
            assert rows == [(offset, f"it unpacks to more than {MOST_UNPACKED_BYTES:,} bytes")]


def test_header_names_that_are_not_utf8_are_read(layer: SpeedLayerUnderTest, tmp_path: Path) -> None:
    worker = layer.start_worker()
    layer.produce(comments(100))
    odd = [(key.encode(), value, b"\xff\xfe\x80" + 20 * b"x") for key, value in comments(50, start=100)]
    layer.produce(comments(1, start=150))
    first = send_with_header_names(kafka_of(layer.settings), layer.topic, odd)
    layer.delivered += [
        DeliveryReport(0, first + number, hashlib.sha256(value).hexdigest()) for number, (_, value, _) in enumerate(odd)
    ]
    layer.produce(comments(100, start=151))
    layer.wait_accounted(251)
    assert worker.poll() is None
    found = layer.comparison()
    assert found.is_exact
    assert found.decisions == 251
    _, value, headers = archived(layer, tmp_path).content()[0, first]
    assert value == odd[0][1]
    assert headers == [("\\xff\\xfe\\x80" + 20 * "x", b"x")]
