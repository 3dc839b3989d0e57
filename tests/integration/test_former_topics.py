"""What a re-created topic leaves in one layer only becomes a named loss once an operator accepts it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from local.stack.worker import settings_environment
from tests.support.reconcile_day import DAY, DayUnderTest, comments
from tests.support.topic_settings import recreate_topic
from tests.support.workers import SpeedLayerUnderTest


@pytest.fixture
def day(layer: SpeedLayerUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DayUnderTest:
    day = DayUnderTest(layer, tmp_path)
    for name, value in settings_environment(day.settings).items():
        monkeypatch.setenv(name, value)
    return day


def accept_gap(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["accept-gap", "--json", *arguments], catch_exceptions=False)
    answer: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if answer["accepted"] else 1)
    return answer


def end_worker(day: DayUnderTest) -> None:
    worker = day.layer.workers[-1]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def read_new_topic(day: DayUnderTest, new_id: str) -> None:
    """Let worker and archive read the new topic to its end, without another comment of the day."""
    day.layer.topic_id, day.layer.delivered = new_id, []
    day.layer.start_worker()
    day.send(comments([100 + 14_400]))
    day.archive()


@pytest.mark.budget(40)
def test_archived_records_that_nobody_decided_are_lost_once_accepted(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(20)))
    end_worker(day)
    day.layer.produce(comments(range(20, 29)))
    day.archive()
    former, new = day.layer.topic_id, recreate_topic(day.layer)
    shown = accept_gap()
    assert shown["new_topic_id"] == new
    assert {each["topic_id"] for each in shown["former_gaps"]} == {former}
    assert sum(each["next_offset"] - each["first_offset"] for each in shown["former_gaps"]) == 9
    # As by a release that adopted the new topic and left the former one as it was.
    for partition in range(4):
        day.execute(
            "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
            "VALUES (%s, %s, %s, 0, 0, 0)",
            *(new, partition, day.layer.topic),
        )
    read_new_topic(day, new)
    before = day.reconcile()
    assert (before.state, before.causes["unprocessed"], before.causes["lost"]) == ("provisional", 9, 0)

    accepted = accept_gap("--yes", "--reason", "the topic was deleted")
    assert (accepted["accepted"], accepted["new_topic_id"]) == (True, None)
    assert day.execute(
        "SELECT sum(next_offset - first_offset)::int, min(reason) FROM speed.gaps WHERE topic_id = %s", former
    ) == [(9, "the topic was deleted")]
    after = day.reconcile()
    assert (after.state, after.causes["unprocessed"], after.causes["lost"]) == ("final", 0, 9)
    assert DAY not in day.needed()
    nothing = CliRunner().invoke(app, ["accept-gap"], catch_exceptions=False)
    assert (nothing.exit_code, "no offset is missing" in nothing.stdout) == (0, True)


@pytest.mark.budget(40)
@pytest.mark.long
def test_decided_records_that_were_never_archived_are_phantoms_once_accepted(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(20)))
    day.archive()
    day.send(comments(range(20, 27)))
    end_worker(day)
    new = recreate_topic(day.layer)
    assert accept_gap("--yes")["former_gaps"] == []
    read_new_topic(day, new)
    before = day.reconcile()
    assert (before.state, before.causes["unarchived"], before.causes["phantom"]) == ("provisional", 7, 0)
    assert sum(each["next_offset"] - each["first_offset"] for each in accept_gap("--lake")["gaps"]) == 7
    assert accept_gap("--lake", "--yes", "--reason", "the topic was deleted")["accepted"]
    after = day.reconcile()
    assert (after.state, after.causes["unarchived"], after.causes["phantom"]) == ("final", 0, 7)
    assert DAY not in day.needed()
