"""A header ``replay_of`` closes a dead letter only if the bytes of the record match, on real servers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import app
from local.stack.wait import wait_until
from moderation.contracts import Comment, to_json
from moderation.timestamps import now_us
from tests.support.workers import SpeedLayerUnderTest, comments

_AHEAD_SECONDS = 8
_FUTURE_SECONDS = 5 * 60


def answer(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["dead-letters", *map(str, arguments), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def open_letters() -> int:
    total: int = answer("list", "--open")["total"]
    return total


def decided_offsets(layer: SpeedLayerUnderTest, comment_id: str) -> list[tuple[int, int, str]]:
    with psycopg.connect(layer.database_url) as connection:
        return connection.execute(
            'SELECT partition, "offset", fate FROM speed.decisions WHERE topic_id = %s AND comment_id = %s '
            'ORDER BY "offset"',
            (layer.topic_id, comment_id),
        ).fetchall()


@pytest.mark.long
@pytest.mark.budget(60)
def test_forged_replay_headers_close_nothing_and_a_genuine_replay_closes_once(
    commanded: SpeedLayerUnderTest, tmp_path: Path
) -> None:
    layer = commanded
    event_time_us = now_us() + (_FUTURE_SECONDS + _AHEAD_SECONDS) * 1_000_000
    early = to_json(Comment("early", "science", "Nice study, thanks.", event_time_us))
    layer.produce([("early", early), ("broken", b"no comment")])
    layer.start_worker()
    layer.wait_accounted(2)
    letters = {each["reason"]: each for each in answer("list")["dead_letters"]}
    names = {
        reason: f"{layer.topic_id}/{each['partition']}/{each['offset']}".encode() for reason, each in letters.items()
    }

    accounted = 2
    for header in (*names.values(), b"\xff" * 100, f"{layer.topic_id}/99999999999/0".encode(), b"a/1/2"):
        accounted += layer.produce(comments(3, start=accounted), [("replay_of", header)])
    accounted += layer.produce(comments(1, start=accounted), [("replay_of", None), ("replay_of", names["not_json"])])
    layer.wait_accounted(accounted)
    assert open_letters() == 2

    wait_until(
        lambda: time.time() > event_time_us / 1e6 - _FUTURE_SECONDS, seconds=30, description="the time of the comment"
    )
    assert answer("replay", "--all")["replayed"] == 1
    accounted += 1
    layer.wait_accounted(accounted)
    first = decided_offsets(layer, "early")
    assert first == [(first[0][0], first[0][1], "counted")]
    layer.produce([("early", early)] * 2, [("replay_of", names["future_dated"])])
    accounted += 2
    layer.wait_accounted(accounted)
    assert [fate for _, _, fate in decided_offsets(layer, "early")] == ["counted", "duplicate", "duplicate"]
    letter = letters["future_dated"]
    closed = answer("show", letter["partition"], letter["offset"])
    assert (closed["replayed_as_partition"], closed["replayed_as_offset"]) == first[0][:2]
    assert open_letters() == 1

    corrected = tmp_path / "corrected.json"
    corrected.write_bytes(to_json(Comment("corrected", "science", "Nice study, thanks.", 1_700_000_000_000_000)))
    letter = letters["not_json"]
    one = ("replay", "--partition", letter["partition"], "--offset", letter["offset"], "--value", corrected)
    assert answer(*one)["replayed"] == 1
    layer.wait_accounted(accounted + 1)
    closed = answer("show", letter["partition"], letter["offset"])
    assert [(closed["replayed_as_partition"], closed["replayed_as_offset"])] == [
        each[:2] for each in decided_offsets(layer, "corrected")
    ]
    assert open_letters() == 0
    comparison = layer.comparison()
    assert comparison.is_exact, comparison.examples
    assert [worker.poll() for worker in layer.workers] == [None]

    with psycopg.connect(layer.database_url) as connection:
        connection.execute(
            "UPDATE speed.dead_letters SET replayed_as_partition = %s, replayed_as_offset = %s "
            "WHERE topic_id = %s AND reason = 'not_json'",
            (*decided_offsets(layer, "c2")[0][:2], layer.topic_id),
        )
    assert layer.comparison().misclosed == 1
