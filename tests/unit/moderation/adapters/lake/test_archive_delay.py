from __future__ import annotations

import uuid

import pytest

from moderation.adapters.lake.archive_delay import NEAR_RATIO, ArchiveDelay
from moderation.offsets import TopicPartition

SOURCE = TopicPartition("comments", uuid.UUID(int=1), 0)
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("append_us", "retention_ms", "ratio", "seconds_left"),
    [
        (0, 4 * DAY_MS, 0.75, 86_400.0),
        (3 * DAY_MS * 1_000, 4 * DAY_MS, 0.0, 4 * 86_400.0),
        (0, DAY_MS, 3.0, -2 * 86_400.0),
        (None, DAY_MS, 0.0, None),
        (0, None, 0.0, None),
        (0, 0, 3.0 * DAY_MS, -3 * 86_400.0),
        (4 * DAY_MS * 1_000, DAY_MS, 0.0, 2 * 86_400.0),
    ],
    ids=["a quarter left", "just appended", "overdue", "nothing waits", "no limit", "no retention", "clock behind"],
)
def test_time_left_until_retention(
    append_us: int | None, retention_ms: int | None, ratio: float, seconds_left: float | None
) -> None:
    now_us = 3 * DAY_MS * 1_000
    delay = ArchiveDelay(SOURCE, 10, 5, append_us, retention_ms)
    assert delay.used_ratio(now_us) == pytest.approx(ratio)
    assert delay.seconds_left(now_us) == (None if seconds_left is None else pytest.approx(seconds_left))


@pytest.mark.parametrize(
    ("waiting", "retention_ms", "fill", "ratio"),
    [
        (0, None, 1.0, 0.0),
        (30, None, 1.0, 0.3),
        (90, None, 1.0, 0.9),
        (100, None, 0.8, 0.8),
        (50, None, 0.8, 0.4),
        (90, None, None, 0.0),
        (30, 4 * DAY_MS, 1.0, 0.75),
        (90, 4 * DAY_MS, 1.0, 0.9),
    ],
)
def test_unarchived_records_count_as_a_share_of_the_size_limit(
    waiting: int, retention_ms: int | None, fill: float | None, ratio: float
) -> None:
    delay = ArchiveDelay(SOURCE, 1_000, waiting, 0 if waiting else None, retention_ms, held=100, fill_ratio=fill)
    assert delay.used_ratio(3 * DAY_MS * 1_000) == pytest.approx(ratio)


def test_alert_and_status_use_the_same_limit() -> None:
    from grafana.source.alerts import ALERTS

    (alert,) = (each for each in ALERTS if each.uid == "moderation-archive-retention")
    assert alert.above == NEAR_RATIO
