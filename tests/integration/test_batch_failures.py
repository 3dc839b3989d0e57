"""Batch jobs on a lake with quarantined records, holes, a lost offset and a record that only the batch fails at.

Adds to the unit tests of ``batch.record_isolation`` the jobs: archive, reconciliation, rescoring and training.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from batch.reconcile.report import ReconcileReport
from batch.record_isolation import Failure
from batch.rescore.run import rescore_comments
from batch.retrain.options import parse_options
from batch.retrain.run import retrain
from batch.run_interval import resolve_interval
from local.chaos.odd_batches import send_one_huge_record
from local.oracle import DeliveryReport
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.record_batches import MOST_UNPACKED_BYTES
from moderation.contracts import Comment, Rules, parse_record, to_json
from moderation.text import Lexicon
from tests.integration.test_hostile_records import WORD
from tests.integration.test_transactions import Transactional, holes, is_at_the_end
from tests.support.lakes import SMALL, LakeUnderTest
from tests.support.reconcile_day import DAY, DayUnderTest, comment, comments
from tests.support.workers import Record, SpeedLayerUnderTest

BATCH_ONLY = "batchonly"
"""A word at which the batch fails and the worker does not."""
SEND, WITH_WORD, WITH_BATCH_ONLY = 240, (31, 32), 33


def with_word(number: int, word: str) -> Record:
    made = comment(number)
    changed = Comment(made.comment_id, made.community, f"a text with {word} {number}", made.event_time_us)
    return changed.comment_id, to_json(changed)


def fail_at_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make feature extraction fail for texts with either word, with the text in the error message."""
    encode = Lexicon.encode

    def brittle(self: Lexicon, texts: Sequence[str]) -> Any:
        for text in texts:
            if WORD in text or BATCH_ONLY in text:
                raise ZeroDivisionError(text)
        return encode(self, texts)

    monkeypatch.setattr(Lexicon, "encode", brittle)


def defects(report: ReconcileReport) -> dict[str, int]:
    return {name: count for name, count in report.defects.items() if count}


def place_of(layer: SpeedLayerUnderTest, comment_id: str) -> tuple[int, int]:
    with psycopg.connect(layer.database_url) as connection:
        row = connection.execute(
            'SELECT partition, "offset" FROM speed.decisions WHERE topic_id = %s AND comment_id = %s',
            (layer.topic_id, comment_id),
        ).fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.mark.long
@pytest.mark.budget(120)
def test_every_batch_job_skips_failing_records_and_names_them(
    layer: SpeedLayerUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    day = DayUnderTest(layer, tmp_path)
    layer.start_worker(("tests.support.failing_worker", WORD))
    layer.produce(comments(range(30)))
    layer.produce([*(with_word(number, WORD) for number in WITH_WORD), with_word(WITH_BATCH_ONLY, BATCH_ONLY)])
    offset, digest = send_one_huge_record(kafka_of(layer.settings), layer.topic, MOST_UNPACKED_BYTES + 1_000)
    layer.delivered.append(DeliveryReport(0, offset, digest))
    producer = Transactional(layer, "one")
    layer.delivered += producer.send(comments(range(40, 60)))
    producer.commit()
    producer.send(comments(range(300, 320)))
    producer.abort()
    layer.produce(comments(range(60, SEND)))
    layer.produce([("nonsense", b"no comment")])
    wait_until(lambda: is_at_the_end(layer), seconds=60, description="the end of the topic")
    found = layer.comparison()
    assert found.is_exact, found
    day.act(number for number in range(SEND) if number % 4 in (1, 2))
    day.archive(limits=SMALL)
    inspection = LakeUnderTest(day.settings).inspect()
    assert inspection.is_whole, inspection.defects
    assert holes(layer, "batch") == holes(layer)
    assert holes(layer)["unreadable"] == 1

    report = day.reconcile()
    assert defects(report) == {}
    assert report.causes["quarantined"] == 2
    window = resolve_interval({"day": DAY.isoformat()})
    compared = rescore_comments(day.settings, window, "production").result
    assert compared.not_scored == []

    partition, at = place_of(layer, f"c{WITH_BATCH_ONLY}")
    fail_at_words(monkeypatch)
    report = day.reconcile(full=True)  # otherwise the scores of the first run are used
    named = [Failure(layer.topic_id, partition, at, "ZeroDivisionError")]
    assert report.not_recomputed == named
    assert defects(report) == {"unexplained": 1, "not_recomputed": 1}
    assert not report.is_sound
    assert report.fields()["not_recomputed"]["records"][0]["offset"] == at

    again = rescore_comments(day.settings, window, "production").result
    assert again.not_scored == named
    assert again.diff.total.compared == compared.diff.total.compared - 1
    assert again.diff.total.not_in_lake == 0

    settings = day.settings.model_copy(update={"model_name": f"failing-{uuid.uuid4().hex[:8]}"})
    form = {"days": 2, "end": "2023-11-16", "newest_share": 0.1, "maturity_hours": 24, "goals": ["review_share<=0.5"]}
    trained = retrain(settings, parse_options(form, datetime.now(UTC)), started_by="a test")
    assert len(trained.failures) == trained.counts["failed"] == 1
    assert trained.counts["verdict_unknown"] >= len(WITH_WORD), "dead letters have no verdict"
    assert Failure("", partition, at, "ZeroDivisionError") in trained.failures
    assert trained.counts["training"] > 150
    assert WORD not in caplog.text
    assert BATCH_ONLY not in caplog.text


def test_a_record_that_the_archive_cannot_parse_is_named_and_its_bytes_are_in_the_lake(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moderation.adapters.lake import schema

    parse = parse_record

    def brittle(value: bytes, append_us: int, rules: Rules) -> Comment:
        if WORD.encode() in value:
            raise ZeroDivisionError(value)
        return parse(value, append_us, rules)

    monkeypatch.setattr(schema, "parse_record", brittle)
    key, value = with_word(7, WORD)
    lake.produce([(key, value, []), *((key, value, []) for key, value in comments(range(60)))])
    report = lake.archive()
    (place,) = [place for place, record in lake.sent.items() if record[1] == value]
    unparsed = [each for partition in report.topics[0].partitions for each in partition.unparsed]
    assert unparsed == [Failure(str(lake.topic_id), *place, "ZeroDivisionError")]
    assert hashlib.sha256(lake.content()[place][1] or b"").digest() == hashlib.sha256(value).digest()
    assert len(lake.content()) == 61
