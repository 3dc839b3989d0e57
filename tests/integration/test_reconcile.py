from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.reconciling import DAY, DayUnderTest, comments
from tests.integration.workers import SpeedLayerUnderTest


@pytest.fixture
def day(layer: SpeedLayerUnderTest, tmp_path: Path) -> DayUnderTest:
    return DayUnderTest(layer, tmp_path)


def test_a_clean_day_has_no_gap_but_what_was_sent_late_or_twice(day: DayUnderTest) -> None:
    day.layer.start_worker()
    sent = comments(range(400))
    day.send(sent)
    day.send(comments(range(400, 800)))
    late = comments(range(900, 920), minute=1)
    day.send(late)
    day.send(sent[390:400])  # a second copy of records of closed panes is late as well, and no other
    day.send(comments([800, 801]))
    twice = comments([800])
    day.send(twice)
    day.archive()
    report = day.reconcile()
    assert report.defects == dict.fromkeys(("lost", "unexplained", "phantom", "residual"), 0)
    assert report.causes["late"] == len(late)
    assert {cause for cause, rows in report.causes.items() if rows} == {"late"}
    assert (report.state, report.revision) == ("final", 1)
    assert report.batch_comments == 800 + 20 + 2
    assert report.speed_comments == 800 + 2
    assert day.reconcile().revision == 1
    assert [row[1] for row in day.run_rows("runs")] == [1]
    assert day.execute(
        "SELECT sum(comments), bool_and(state = 'final') FROM serving.tumbling_windows WHERE topic = %s",
        day.layer.topic,
    ) == [(822, True)]
    assert day.execute("SELECT sum(comments) FROM serving.hopping_windows WHERE topic = %s", day.layer.topic) == [
        (12 * 822,)
    ]
    assert DAY.isoformat() == report.fields()["date"]
