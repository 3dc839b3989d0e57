"""A record at which only the batch fails is a defect of its day, also where it differs in nothing that is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from batch.reconcile import recompute
from batch.record_isolation import score_each
from moderation.adapters.reconciliation.frozen_days import freeze_day
from moderation.adapters.reconciliation.runs import open_defects, recent_defects
from moderation.adapters.sql.connection import connected
from moderation.contracts import Read, Rules, read_record
from moderation.scoring import Kernel
from moderation.timestamps import day_of, now_us
from tests.support.reconcile_day import DAY, DayUnderTest, comments
from tests.support.workers import SpeedLayerUnderTest

BROKEN = b"no comment"
LATE, COPIED = 101, 391
_HOUR_US = 3_600_000_000
Patched = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
def day(layer: SpeedLayerUnderTest, tmp_path: Path) -> DayUnderTest:
    return DayUnderTest(layer, tmp_path)


def fail_at_last_text_of(number: int) -> Patched:
    """Return what makes scoring fail for the last record with the text of a comment: the only one, or the copy."""
    text = f"{number}"

    def brittle(kernel: Kernel, texts: Sequence[str]) -> tuple[NDArray[Any], dict[int, str]]:
        scores, failed = score_each(kernel, texts)
        named = [index for index, each in enumerate(texts) if each.endswith(text)]
        return scores, failed | dict.fromkeys(named[-1:], "ZeroDivisionError")

    return lambda patch: patch.setattr(recompute, "score_each", brittle)


def fail_at_broken(patch: pytest.MonkeyPatch) -> None:
    """Make parsing fail for the record that the worker refuses."""

    def brittle(value: bytes, append_us: int, rules: Rules) -> Read:
        if value == BROKEN:
            raise ZeroDivisionError(value)
        return read_record(value, append_us, rules)

    patch.setattr(recompute, "read_record", brittle)


def defects_of(day: DayUnderTest) -> tuple[list[tuple[date, int]], int | None]:
    since_us = now_us() - _HOUR_US
    with connected(day.layer.database_url) as connection:
        topic = day.layer.topic
        return open_defects(connection, topic, since_us), recent_defects(connection, topic, since_us)


@pytest.mark.budget(30)
@pytest.mark.parametrize(
    ("kind", "fail"),
    [
        ("late", fail_at_last_text_of(LATE)),
        ("copy", fail_at_last_text_of(COPIED)),
        ("letter", fail_at_broken),
    ],
)
def test_a_record_that_only_the_batch_fails_at_is_an_open_defect_until_a_run_without_it(
    day: DayUnderTest, kind: str, fail: Patched
) -> None:
    day.layer.start_worker()
    day.send([each for each in comments(range(400)) if each[0] != f"c{LATE}"])
    day.send(comments([LATE]))
    day.send(comments([COPIED]))
    day.send([("broken", BROKEN)])
    day.archive()
    reconciled = DAY
    if kind == "letter":
        letters = "SELECT append_us FROM speed.dead_letters WHERE topic_id = %s"
        reconciled = day_of(day.execute(letters, day.layer.topic_id)[0][0])

    with pytest.MonkeyPatch.context() as patch:
        fail(patch)
        report = day.reconcile(reconciled)
        again = day.reconcile(reconciled)
    # The late record has a score in the ledger, and none here.
    others = {"unexplained": 1} if kind == "late" else {}
    assert {name: count for name, count in report.defects.items() if count} == {"not_recomputed": 1, **others}
    count = 1 + len(others)
    assert (len(report.not_recomputed), report.is_sound, report.revision) == (1, False, 1)
    assert again.revision == 1, "equal results add no revision"
    assert report.state == ("provisional" if kind == "letter" else "final")
    assert defects_of(day) == ([(reconciled, count)], count)
    rows = "SELECT defects, causes->>'not_recomputed' FROM serving.reconciliations WHERE topic = %s"
    assert day.execute(rows, day.layer.topic) == [(count, "1")]

    corrected = day.reconcile(reconciled)
    assert (corrected.revision, corrected.is_sound) == (2, True)
    assert defects_of(day) == ([], 0)
    assert day.execute(f"{rows} ORDER BY revision", day.layer.topic) == [(count, "1"), (0, "0")]


def test_a_frozen_day_states_that_a_record_was_not_recomputed(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(400)))
    day.send(comments([COPIED]))
    day.archive()
    with pytest.MonkeyPatch.context() as patch:
        fail_at_last_text_of(COPIED)(patch)
        assert day.reconcile().revision == 1
    with connected(day.layer.database_url) as connection:
        freeze_day(connection, day.layer.topic, DAY, "a test", now_us())
    frozen = day.reconcile()
    assert frozen.frozen is not None
    assert (frozen.defects["not_recomputed"], frozen.is_sound) == (1, False)
    assert frozen.fields()["not_recomputed"] == {"count": 1, "records": []}
