from __future__ import annotations

from pathlib import Path

import pytest

from local.stack.commands import PartStatus
from local.stack.health import Level, WorkerStatus, health_of

DECIDING = WorkerStatus([], {"0": 0, "1": 3}, 5.0)


def part(
    name: str, state: str = "running", uptime: float = 1_000, restarts: int = 0, last_exit: str = ""
) -> PartStatus:
    return PartStatus(name, state, 1, "", Path(f"{name}.log"), uptime, restarts, last_exit)


SERVERS = [part("supervisor"), part("kafka"), part("postgres"), part("mlflow")]
WORKER = part("worker")


def test_a_stack_with_a_deciding_worker_is_healthy() -> None:
    found = health_of([*SERVERS, WORKER], "worker", DECIDING)
    assert (found.level, found.reasons) == (Level.WELL, ())


def test_a_condition_that_needs_an_operator_degrades_the_stack() -> None:
    found = health_of([*SERVERS, WORKER], "worker", DECIDING, ["a transaction is open"])
    assert (found.level, found.reasons) == (Level.DEGRADED, ("a transaction is open",))


def test_an_idle_worker_without_waiting_records_is_healthy() -> None:
    assert health_of([*SERVERS, WORKER], "worker", WorkerStatus([], {"0": 0}, 0.0)).level is Level.WELL


@pytest.mark.parametrize(
    ("parts", "answers", "level", "reason"),
    [
        ([], None, 2, "the stack is down"),
        (SERVERS, None, 2, "has no worker"),
        ([*SERVERS, part("worker", "ended", 0, 0, "exit 78")], None, 2, "not running (ended); it ended with exit 78"),
        ([*SERVERS, part("worker", "waiting", 0, 3, "exit 75")], None, 2, "worker is not running (waiting)"),
        ([*SERVERS, part("worker", uptime=5)], None, 2, "worker is starting"),
        ([*SERVERS, part("worker", uptime=5)], WorkerStatus(["model"], {}, 0.0), 2, "worker is starting"),
        ([*SERVERS, WORKER], None, 2, "does not answer"),
        ([*SERVERS, WORKER], WorkerStatus(["model", "partitions"], {}, 0.0), 2, "no model and no partitions"),
        ([*SERVERS, WORKER], WorkerStatus([], {}, 0.0), 2, "has no partition, or Kafka"),
        ([*SERVERS, WORKER], WorkerStatus([], {"0": 1_500}, 0.0), 2, "1,500 records wait, and none was decided"),
        ([*SERVERS, part("worker", "running", 90, 2, "exit 75")], DECIDING, 1, "again 2 times, last with exit 75"),
        ([*SERVERS[:3], part("mlflow", "waiting"), WORKER], DECIDING, 1, "mlflow is not running"),
        ([*SERVERS, WORKER], WorkerStatus([], {"0": 0}, 1.0, "no_alias"), 1, "no version has the alias production;"),
        ([*SERVERS, WORKER], WorkerStatus([], {"0": 0}, 1.0, "no_version"), 1, "a version that the registry does not"),
        ([SERVERS[0], part("kafka", "waiting"), *SERVERS[2:], WORKER], DECIDING, 2, "kafka is not running"),
        ([part("supervisor", "stopped"), *SERVERS[1:], WORKER], DECIDING, 1, "supervisor is not running"),
    ],
)  # fmt: skip
def test_each_problem_has_a_reason_and_a_level(
    parts: list[PartStatus], answers: WorkerStatus | None, level: int, reason: str
) -> None:
    found = health_of(parts, "worker", answers)
    assert found.level == level
    assert reason in found.reasons[0]


def test_an_old_restart_is_ignored_and_the_worst_problem_comes_first() -> None:
    assert health_of([*SERVERS, part("worker", restarts=4, uptime=601)], "worker", DECIDING).level is Level.WELL
    parts = [*SERVERS[:3], part("mlflow", "ended"), part("worker", restarts=1, uptime=100)]
    found = health_of(parts, "worker", WorkerStatus([], {"0": 9}, 0.0))
    assert found.level is Level.NOT_MODERATING
    assert [("records wait" in reason, "mlflow" in reason) for reason in found.reasons[:2]] == [
        (True, False),
        (False, True),
    ]
