"""A worker that is stuck in any known way is replaced within a minute, and nothing is lost."""

from __future__ import annotations

import time

import pytest

from local.chaos.stuck_worker import KINDS
from local.stack.wait import wait_until
from stream.exit_codes import RESTART
from tests.support.workers import SpeedLayerUnderTest, comments

pytestmark = pytest.mark.long
_SECONDS = 60.0
_STARVED_SECONDS = 240.0
"""A starved watchdog needs several looks, and each waits until native code lets go of the interpreter. Beside other
tests that takes several times as long."""


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.alone) if kind == "starved" else kind for kind in KINDS],
)
def test_a_stuck_worker_is_replaced_within_a_minute_and_nothing_is_lost(kind: str, layer: SpeedLayerUnderTest) -> None:
    stuck = layer.start_worker(("local.chaos.stuck_worker", kind))
    log = layer.folder / "worker-0.log"
    sent = 0

    def is_stuck() -> bool:
        nonlocal sent
        sent += layer.produce(comments(50, start=sent))
        return f"stuck: {kind}" in log.read_text()

    wait_until(is_stuck, seconds=60, description="the worker that gets stuck")
    seconds = _STARVED_SECONDS if kind == "starved" else _SECONDS
    began = time.monotonic()
    sent += layer.produce(comments(1_000, start=sent))
    assert stuck.wait(seconds) == RESTART, log.read_text()[-2_000:]
    layer.start_worker()
    layer.wait_accounted(sent, seconds=_SECONDS)
    assert time.monotonic() - began < seconds
    assert layer.comparison().is_exact
