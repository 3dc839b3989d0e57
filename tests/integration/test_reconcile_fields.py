"""Fields that no pane counts, digests of hours, and kept records, on real servers."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest

from batch.reconcile.run import reconcile_day
from moderation.errors import LakeDamaged
from moderation.timestamps import day_of, now_us
from tests.support.reconcile_altered import allowed, altered, caused, gaps, lake_file
from tests.support.reconcile_day import DAY, DayUnderTest, comments
from tests.support.workers import SpeedLayerUnderTest


def test_postgresql_writes_reasons_as_the_batch_does(day: DayUnderTest) -> None:
    odd = ['"', "\\", "a/b", "\n\t\r\b\f\x01\x1f", "\x7f", "é", "\u2028", "😀", "", "<>&'"]
    assert day.execute("SELECT %s::jsonb::text", orjson.dumps(odd).decode()) == [(json.dumps(odd, ensure_ascii=False),)]


@pytest.mark.long
@pytest.mark.budget(80)
def test_each_altered_field_has_its_own_cause_and_moves_no_measure(day: DayUnderTest) -> None:
    worker = day.layer.start_worker()
    sent = comments(range(200))
    day.send([*sent, ("broken", b"{")])
    day.archive()
    clean = day.reconcile()
    assert gaps(clean) == {}
    assert (clean.digests is not None, clean.digests and clean.digests.different, clean.reused) == (True, 0, 0)
    worker.kill()
    worker.wait(30)
    first = allowed(day)[0]
    topic_id = day.layer.topic_id
    [(partition, offset)] = day.execute(
        'SELECT partition, "offset" FROM speed.dead_letters WHERE topic_id = %s', topic_id
    )
    [(alerted,)] = day.execute(
        "SELECT record_id::text FROM speed.decisions WHERE topic_id = %s AND jsonb_array_length(reasons) > 0 LIMIT 1",
        topic_id,
    )
    broken = f'{{of}} AND partition = {partition} AND "offset" = {offset}'
    alterations = {
        f"UPDATE speed.decisions SET comment_id = 'x' WHERE {first.place}": {"other_id": 1},
        f"UPDATE speed.decisions SET record_id = sha256('x') WHERE {first.place}": {"other_id": 1},
        f"UPDATE speed.decisions SET append_us = append_us + 1 WHERE {first.place}": {"other_time": 1},
        f"UPDATE speed.decisions SET reasons = '[\"x\"]' WHERE {first.place}": {"other_reasons": 1},
        f"UPDATE speed.decisions SET reasons = reasons - 0 WHERE {{of}} AND record_id = '{alerted}'": {
            "other_reasons": 1
        },
        f"UPDATE speed.dead_letters SET reason = 'empty' WHERE {broken}": {"wrong_letter": 1},
        f"UPDATE speed.dead_letters SET raw_length = 2 WHERE {broken}": {"wrong_letter": 1},
        f"UPDATE speed.dead_letters SET raw_sha256 = repeat('0', 64) WHERE {broken}": {"wrong_letter": 1},
        f"DELETE FROM speed.dead_letters WHERE {broken}": {"missing_letter": 1},
    }
    # Letters belong to the day of their append.
    today = day_of(now_us())
    for statement, causes in alterations.items():
        on = today if "letter" in next(iter(causes)) else DAY
        with altered(day, statement):
            found = day.reconcile(on)
            assert gaps(found) == causes, statement
            assert not found.is_sound
            full = reconcile_day(day.settings, on, full=True)
            assert (full.revision, full.causes) == (found.revision, found.causes), "equal results add no revision"
    with altered(day, "UPDATE speed.decisions SET comment_id = comment_id || 'x' WHERE {of}"):
        assert gaps(day.reconcile()) == {"other_id": 200}
    day.execute("UPDATE speed.served SET model_digest = repeat('0', 64) WHERE topic_id = %s", topic_id)
    assert gaps(day.reconcile()) == {"other_model": 200}
    assert caused(day, "other_model") == (0, 0, 0, 0)
    defects = day.execute("SELECT defects FROM serving.reconciliations WHERE topic = %s AND is_latest", day.layer.topic)
    assert max(defects) == (200,)


@pytest.mark.budget(25)
def test_a_second_run_scores_no_file_again_and_reads_only_rows_of_hours_that_differ(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(300)))
    day.send(comments(range(3_000, 3_100), minute=300))
    day.archive()
    first, second = day.reconcile(), day.reconcile()
    assert (first.reused, first.digests) == (0, second.digests)
    assert second.reused > 0
    assert second.digests is not None
    assert (second.digests.different, second.digests.exported) == (0, 0)
    assert second.revision == 1
    row = allowed(day)[0]
    with altered(day, f"UPDATE speed.decisions SET verdict = 'remove' WHERE {row.place}"):
        found = day.reconcile()
        assert gaps(found) == {"unexplained": 1, "residual": 1}
        assert found.digests is not None
        assert found.digests.different == 1
        assert 0 < found.digests.exported < 200
    file = lake_file(day, "comments")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LakeDamaged, match=file.name):
        day.reconcile()


@pytest.fixture
def day(layer: SpeedLayerUnderTest, tmp_path: Path) -> DayUnderTest:
    return DayUnderTest(layer, tmp_path)
