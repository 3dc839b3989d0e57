"""Records that end the process without an error are found in another process and quarantined.

Adds to test_hostile_records, whose records raise errors that can be caught.
"""

from __future__ import annotations

import time

import psycopg
import pytest

from local.stack.wait import wait_until
from tests.integration.test_hostile_records import WORD, failures, with_body
from tests.support.workers import SpeedLayerUnderTest, comments

pytestmark = pytest.mark.long
MODULE = ("tests.support.crashing_worker", WORD)


def run_until_accounted(layer: SpeedLayerUnderTest, count: int, module: tuple[str, ...], seconds: float) -> int:
    """Restart a worker whenever it ends, as a supervisor does; return how often it ended."""
    worker, ends = layer.start_worker(module), 0
    deadline = time.monotonic() + seconds
    while layer.accounted() < count:
        assert time.monotonic() < deadline, f"{layer.accounted()} of {count} accounted for after {ends} ends"
        if worker.poll() is not None:
            ends += 1
            worker = layer.start_worker(module)
        time.sleep(0.2)
    assert worker.poll() is None
    return ends


@pytest.mark.budget(120)
def test_a_record_that_ends_the_process_is_quarantined_and_the_others_are_decided(
    layer: SpeedLayerUnderTest,
) -> None:
    # Records are tried in groups: a refused record must not hide a crashing one next to it, nor the first the second.
    sent = [*comments(75), ("key", b"not JSON"), *comments(75, start=75)]
    for place in (70, 80):
        sent.insert(place, with_body(place, f"a text with {WORD}"))
    layer.produce(sent)
    assert run_until_accounted(layer, 153, MODULE, 110) >= 1
    assert failures(layer) == {"SIGSEGV": 2}
    layer.produce(comments(100, start=150))
    layer.wait_accounted(253)
    found = layer.comparison()
    assert found.is_exact, found
    assert (found.decisions, found.dead_letters) == (250, 3)
    for number in range(len(layer.workers)):
        assert WORD not in (layer.folder / f"worker-{number}.log").read_text()


@pytest.mark.budget(300)
@pytest.mark.parametrize("stage", ["copy", "topics"])
def test_a_record_that_ends_the_process_where_it_is_encoded_is_quarantined(
    layer: SpeedLayerUnderTest, stage: str
) -> None:
    sent = comments(40)
    sent.insert(20, with_body(1, "sound", comment_id=f"id-{WORD}"))
    layer.produce(sent)
    assert run_until_accounted(layer, 41, ("tests.support.crashing_worker", f"{stage}:{WORD}"), 290) >= 1
    assert failures(layer) == {"SIGSEGV": 1}
    layer.produce(comments(50, start=40))
    layer.wait_accounted(91)
    wait_until(lambda: layer.comparison(topics_too=True).is_exact, seconds=30, description="all is on the topics")
    assert layer.comparison().decisions == 90


@pytest.mark.budget(180)
def test_a_record_that_never_finishes_is_quarantined(layer: SpeedLayerUnderTest) -> None:
    layer.produce([*comments(50), with_body(1, f"hang at {WORD}")])
    run_until_accounted(layer, 51, MODULE, 170)
    assert failures(layer) == {"no end within 5 s": 1}
    assert layer.comparison().is_exact


@pytest.mark.budget(60)
def test_repeatedly_killed_processes_quarantine_nothing(layer: SpeedLayerUnderTest) -> None:
    layer.produce(comments(100))
    worker = layer.start_worker()
    layer.wait_accounted(100)
    worker.kill()
    worker.wait(30)
    with psycopg.connect(layer.database_url) as connection:
        connection.execute(
            "UPDATE speed.source_offsets SET attempt_at = next, attempts = 5 WHERE topic_id = %s", (layer.topic_id,)
        )
    layer.produce(comments(100, start=100))
    worker = layer.start_worker()
    layer.wait_accounted(200)
    assert worker.poll() is None
    assert "another process tries them first" in (layer.folder / "worker-1.log").read_text()
    found = layer.comparison()
    assert found.is_exact, found
    assert (found.decisions, found.dead_letters) == (200, 0)
