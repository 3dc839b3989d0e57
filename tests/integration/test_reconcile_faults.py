"""Each fault between the layers changes only its own term of the reconciliation, by its own amount."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from batch.reconcile.run import ReconcilePoint
from cli.main import app
from local.oracle import read_topic
from moderation.adapters.kafka.connection import kafka_of
from moderation.contracts import RULES_VERSION
from moderation.errors import LakeDamaged
from tests.support.reconcile_altered import Row, allowed, altered, caused, gaps, lake_file, letter, residual
from tests.support.reconcile_day import DAY, DayUnderTest, comments
from tests.support.workers import SpeedLayerUnderTest


@pytest.mark.long
@pytest.mark.budget(50)
def test_each_alteration_moves_its_own_term_by_its_own_amount(day: DayUnderTest) -> None:
    worker = day.layer.start_worker()
    # Rules version 1 refuses fields that it does not know.
    day.send([(key, value.replace(b"{", b'{"unheard_of": 1, ', 1)) for key, value in comments(range(400))])
    day.archive()
    clean = day.reconcile()
    assert (gaps(clean), clean.digests and clean.digests.different) == ({}, 0)
    worker.kill()
    worker.wait(30)
    rows = allowed(day)
    first, others = rows[0], rows[1:4]

    with altered(day, *[f"DELETE FROM speed.decisions WHERE {row.place}" for row in others]):
        found = day.reconcile()
        panes = len({(row.partition, row.start_us, row.community) for row in others})
        assert gaps(found) == {"lost": 3, "residual": panes}
        assert caused(day, "lost") == (3, 0, 0, sum(row.score_ppm for row in others))
        assert residual(day) == tuple(-measure for measure in caused(day, "lost"))

    with altered(day, f"UPDATE speed.panes SET score_sum = score_sum + 7, reviews = reviews + 2 WHERE {first.pane}"):
        assert gaps(day.reconcile()) == {"residual": 1}
        assert residual(day) == (0, -2, 0, -7)

    with altered(day, f"UPDATE speed.decisions SET score_ppm = score_ppm + 1 WHERE {first.place}"):
        assert gaps(day.reconcile()) == {"unexplained": 1, "residual": 1}
        assert caused(day, "unexplained") == (0, 0, 0, -1)
        assert residual(day) == (0, 0, 0, 1)

    with altered(
        day, *[f"UPDATE speed.{table} SET policy_version = 'x' WHERE {{of}}" for table in ("decisions", "panes")]
    ):
        assert gaps(day.reconcile()) == {"policy": 400}
        assert caused(day, "policy") == (0, 0, 0, 0)

    with altered(
        day,
        f"UPDATE speed.decisions SET kernel_version = '0', score_ppm = score_ppm + 5 WHERE {first.place}",
        f"UPDATE speed.panes SET score_sum = score_sum + 5 WHERE {first.pane}",
    ):
        assert gaps(day.reconcile()) == {"rescored": 1}
        assert caused(day, "rescored") == (0, 0, 0, -5)

    with altered(day, f'UPDATE speed.decisions SET "offset" = -1 WHERE {first.place}'):
        assert gaps(day.reconcile()) == {"lost": 1, "phantom": 1}
        assert caused(day, "phantom") == (-1, 0, 0, -first.score_ppm)

    # The rules that its dead letter names could not read it, so neither ledger nor panes have it; those of its offset
    # can. If they read it, too, or for another reason than they have, the dead letter itself is wrong.
    value = read_topic(kafka_of(day.settings), day.layer.topic)[first.partition, first.offset]
    for version, reason, cause in (
        (1, "unknown_field", "recovered"),
        (1, "not_json", "wrong_letter"),
        (RULES_VERSION, "unknown_field", "wrong_letter"),
        (999, "unknown_field", "wrong_letter"),
    ):
        with altered(
            day,
            letter(first, value=value, reason=reason),
            f"UPDATE speed.dead_letters SET rules_version = {version} WHERE {first.place}",
            f"DELETE FROM speed.decisions WHERE {first.place}",
            f"UPDATE speed.panes SET comments = comments - 1, score_sum = score_sum - {first.score_ppm} "
            f"WHERE {first.pane}",
        ):
            assert gaps(day.reconcile()) == {cause: 1}
            assert caused(day, cause) == (1, 0, 0, first.score_ppm)

    # Both ways agree on a row at or above the end of the ledger, in its partition and in one that nobody reads.
    for change, residuals in (('"offset" = 1000000', 0), ("partition = 99", 2)):
        with altered(day, f"UPDATE speed.decisions SET {change} WHERE {first.place}"):
            expected = {"lost": 1, "unexplained": 1} | ({"residual": residuals} if residuals else {})
            assert [gaps(day.reconcile(full=full)) for full in (False, True)] == [expected] * 2

    assert gaps(day.reconcile()) == {}


@pytest.mark.budget(20)
def test_copies_in_two_partitions_count_once_as_the_batch_decides(day: DayUnderTest) -> None:
    day.layer.start_worker()
    originals = comments(range(100))
    day.send(originals)
    copies = [(f"other key {number}", value) for number, (_, value) in enumerate(originals[:30])]
    day.send(copies)
    day.archive()
    placed = day.execute(
        "SELECT count(*)::int FROM (SELECT record_id FROM speed.decisions WHERE topic_id = %s "
        "GROUP BY record_id HAVING count(DISTINCT partition) = 2) twice",
        day.layer.topic_id,
    )[0][0]
    assert placed > 5
    assert gaps(day.reconcile()) == {"duplicate": placed}
    assert caused(day, "duplicate")[0] == -placed


@pytest.mark.long
@pytest.mark.budget(30)
def test_a_replay_that_comes_late_is_recovered_and_not_late(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(300)))
    day.send(comments(range(500, 505), minute=1))
    day.archive()
    assert gaps(day.reconcile()) == {"late": 5}
    late = day.execute(
        'SELECT partition, "offset", community, 0, 0 FROM speed.decisions WHERE topic_id = %s AND fate = %s LIMIT 1',
        day.layer.topic_id,
        "late",
    )
    row = Row(*late[0])
    value = read_topic(kafka_of(day.settings), day.layer.topic)[row.partition, row.offset]
    with altered(day, letter(row, offset=-1, replayed=True, value=value)):
        assert gaps(day.reconcile()) == {"late": 4, "recovered": 1}
    with altered(day, letter(row, offset=-1, replayed=True, value=value + b" ")):
        assert gaps(day.reconcile()) == {"late": 5}


@pytest.mark.long
@pytest.mark.budget(30)
def test_a_record_in_quarantine_is_released_by_its_own_bytes_only(day: DayUnderTest) -> None:
    """A forged header in the ledger releases nothing; a header that closed nothing is counted."""
    day.layer.start_worker()
    day.send(comments(range(300)))
    day.layer.produce(comments(range(300, 302)), [("replay_of", f"{day.layer.topic_id}/0/0".encode())])
    day.layer.wait_accounted(302)
    day.archive()
    assert day.reconcile().ignored_replays == 2
    first, other = allowed(day)[:2]
    topic = read_topic(kafka_of(day.settings), day.layer.topic)
    value = topic[first.partition, first.offset]
    failed = letter(first, value=value, reason="processing_failed")
    gone = f"DELETE FROM speed.decisions WHERE {first.place}"
    closed = (
        f"UPDATE speed.dead_letters SET replayed_as_partition = {other.partition}, "
        f"replayed_as_offset = {other.offset} WHERE {first.place}"
    )
    corrected = topic[other.partition, other.offset]
    correction = (
        f"UPDATE speed.dead_letters SET corrected_length = {len(corrected)}, "
        f"corrected_sha256 = '{hashlib.sha256(corrected).hexdigest()}' WHERE {first.place}"
    )
    with altered(day, failed, gone):
        assert gaps(day.reconcile())["quarantined"] == 1
    with altered(day, failed, gone, closed):
        assert gaps(day.reconcile())["quarantined"] == 1
    with altered(day, failed, gone, closed, correction):
        found = gaps(day.reconcile())
        assert (found["recovered"], "quarantined" in found) == (1, False)


@pytest.mark.long
@pytest.mark.budget(20)
def test_every_corrected_and_replayed_letter_is_recovered(
    commanded: SpeedLayerUnderTest, day: DayUnderTest, tmp_path: Path
) -> None:
    """The corrected comments belong to a closed pane, as do five late comments."""
    commanded.start_worker()
    day.send(comments(range(300)))
    day.send([(f"broken {number}", b'{"schema_version":1,') for number in range(3)])
    day.send(comments(range(500, 505), minute=1))
    places = day.execute('SELECT partition, "offset" FROM speed.dead_letters WHERE topic_id = %s', commanded.topic_id)
    assert len(places) == 3
    corrected = tmp_path / "corrected.json"
    for number, (partition, offset) in enumerate(places, 600):
        corrected.write_bytes(comments([number], minute=1)[0][1])
        options = ["--partition", str(partition), "--offset", str(offset), "--value", str(corrected)]
        done = CliRunner().invoke(app, ["dead-letters", "replay", *options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    commanded.wait_accounted(300 + 3 + 5 + 3)
    day.archive()
    found = day.reconcile()
    assert gaps(found) == {"late": 5, "recovered": 3}
    assert found.is_sound
    assert caused(day, "recovered")[0] == 3


@pytest.mark.long
def test_records_that_a_worker_skips_are_reported_as_lost(day: DayUnderTest) -> None:
    day.layer.start_worker(("local.chaos.sabotaged_worker", "drop"))
    for first in range(0, 600, 20):
        day.send(comments(range(first, first + 20)))
    day.archive()
    stored = day.execute("SELECT count(*)::int FROM speed.decisions WHERE topic_id = %s", day.layer.topic_id)[0][0]
    assert 0 < 600 - stored < 100
    assert gaps(day.reconcile()) == {"lost": 600 - stored}
    assert residual(day) == (0, 0, 0, 0)
    kept = day.execute(
        "SELECT count(*)::int, count(comment_id)::int FROM serving.reconciled_differences "
        "WHERE topic = %s AND cause = 'lost'",
        day.layer.topic,
    )
    assert kept == [(600 - stored, 600 - stored)]


@pytest.mark.long
def test_a_day_is_provisional_until_all_of_it_is_archived_and_decided(day: DayUnderTest) -> None:
    worker = day.layer.start_worker()
    day.send(comments(range(200)))
    day.archive()
    day.send(comments(range(200, 300)))
    first = day.reconcile()
    assert gaps(first) == {"unarchived": 100}
    assert (first.state, first.revision) == ("provisional", 1)
    assert day.needed() == [DAY]
    worker.kill()
    worker.wait(30)
    day.layer.produce(comments(range(300, 340)))
    day.archive()
    second = day.reconcile()
    assert gaps(second) == {"unprocessed": 40}
    assert (second.state, second.revision) == ("provisional", 2)
    day.layer.start_worker()
    day.layer.wait_accounted(340)
    third = day.reconcile()
    assert gaps(third) == {}
    assert (third.state, third.revision) == ("final", 3)
    assert day.needed() == []
    day.send(comments(range(400, 410)))
    assert day.needed() == []
    day.archive()
    assert day.needed() == [DAY]
    assert day.reconcile().revision == 4
    states = day.execute("SELECT revision, state FROM batch.runs WHERE topic = %s ORDER BY 1", day.layer.topic)
    assert states == [(1, "provisional"), (2, "provisional"), (3, "final"), (4, "final")]


def test_a_missing_lake_file_fails_by_name_and_stores_nothing(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(50)))
    day.archive()
    lake_file(day, "comments").unlink()
    with pytest.raises(LakeDamaged, match=r"comments.*it is missing"):
        day.reconcile()
    assert day.run_rows("runs") == []


@pytest.mark.long
@pytest.mark.budget(30)
def test_a_missing_or_altered_file_of_actions_fails_by_name_and_stores_nothing(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(50)))
    day.act(range(20))
    day.archive()
    file = lake_file(day, "actions")
    written = file.read_bytes()
    # Within the first column's pages, so that size and footer are those of before.
    file.write_bytes(written[:100] + bytes([written[100] ^ 1]) + written[101:])
    with pytest.raises(LakeDamaged, match=rf"{file.name}.*SHA-256"):
        day.reconcile()
    file.unlink()
    with pytest.raises(LakeDamaged, match=rf"{file.name}.*it is missing"):
        day.reconcile()
    assert day.run_rows("runs") == []
    file.write_bytes(written)
    assert gaps(day.reconcile()) == {}
    agreed = day.execute("SELECT sum(comments)::int FROM serving.agreement WHERE topic = %s", day.layer.topic)
    assert agreed == [(20,)]


@pytest.mark.long
def test_a_killed_run_leaves_no_partial_results_and_the_next_gives_the_same_tables(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(300)))
    day.send(comments(range(500, 505), minute=1))
    day.archive()
    day.reconcile()
    tables = ("runs", "panes", "differences")
    expected = {table: day.run_rows(table) for table in tables}
    assert [len(expected[table]) > 0 for table in tables] == [True, True, True]

    def forget() -> None:
        day.execute("DELETE FROM batch.runs WHERE topic = %s", day.layer.topic)

    for point in get_args(ReconcilePoint):
        forget()
        assert day.reconcile_and_die(point) == -signal.SIGKILL
        assert day.run_rows("panes") == (expected["panes"] if point == "after_commit" else [])
        assert day.reconcile_and_die("") == 0
        assert {table: day.run_rows(table) for table in tables} == expected

    forget()
    both = [day.start_reconciling() for _ in range(2)]
    assert [each.wait(120) for each in both] == [0, 0]
    assert {table: day.run_rows(table) for table in tables} == expected


@pytest.fixture
def day(layer: SpeedLayerUnderTest, tmp_path: Path) -> DayUnderTest:
    return DayUnderTest(layer, tmp_path)
