from __future__ import annotations

import asyncio
import threading

import pytest

from moderation.settings import Settings
from stream.worker.http_limits import MOST_WAITING, Refusal, ViewLimits


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock) -> ViewLimits:
    return ViewLimits(Settings(view_requests_per_second=3, view_work_share=0.1, view_most_bytes=2_000), clock)


def test_requests_beyond_the_rate_are_refused_until_time_has_passed() -> None:
    clock = Clock()
    checked = limits(clock)
    for _ in range(3):
        checked.check_rate()
    with pytest.raises(Refusal, match="MODERATION_VIEW_REQUESTS_PER_SECOND") as refused:
        checked.check_rate()
    assert refused.value.status == 429
    clock.now = 0.5
    checked.check_rate()


def test_expensive_work_is_admitted_once_and_delays_the_next() -> None:
    clock = Clock()
    checked = limits(clock)
    checked.check_work(500_000)
    for clock.now in (0.0, 1.0, 3.9):
        with pytest.raises(Refusal, match="MODERATION_VIEW_WORK_SHARE"):
            checked.check_work(1)
    clock.now = 4.1
    checked.check_work(1)


def test_a_large_body_is_refused_before_it_is_read() -> None:
    checked = limits(Clock())
    checked.check_size(2_000)
    with pytest.raises(Refusal, match="2001 bytes, at most 2000 .MODERATION_VIEW_MOST_BYTES") as refused:
        checked.check_size(2_001)
    assert refused.value.status == 413
    with pytest.raises(Refusal, match="Content-Length"):
        checked.check_size(None)


def test_a_view_runs_one_request_at_a_time_and_lets_few_wait() -> None:
    checked = limits(Clock())
    running: list[int] = []
    most: list[int] = []
    finish = threading.Event()

    def work() -> None:
        running.append(1)
        most.append(len(running))
        assert finish.wait(20)
        running.pop()

    async def ask() -> int:
        waiting = [asyncio.create_task(checked.run("score", work)) for _ in range(MOST_WAITING + 1)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="wait already"):
            await checked.run("score", work)
        await checked.run("windows", lambda: None)
        finish.set()
        await asyncio.gather(*waiting)
        return len(waiting)

    assert asyncio.run(ask()) == len(most)
    assert max(most) == 1
