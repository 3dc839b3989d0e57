"""Plan of the faults: kinds, numbers and order, from a seed, so that a run can be repeated."""

from __future__ import annotations

import random
from enum import StrEnum

FULL_MINUTES = 25.0


class Fault(StrEnum):
    """Kinds of faults."""

    KILL_AFTER_COPY = "kill_after_copy"
    KILL_AFTER_COMMIT = "kill_after_commit"
    KILL_BEFORE_PUBLISH = "kill_before_publish"
    KILL_DURING_PUBLISH = "kill_during_publish"
    KILL_DURING_SWAP = "kill_during_swap"
    KILL_DURING_ASSIGNMENT = "kill_during_assignment"
    KILL_RANDOM = "kill_random"
    ZOMBIE = "zombie"
    ZOMBIE_AFTER_COPY = "zombie_after_copy"
    ZOMBIE_AFTER_COMMIT = "zombie_after_commit"
    JOIN = "join"
    LEAVE = "leave"
    BROKER_KILL = "broker_kill"
    POSTGRES_KILL = "postgres_kill"
    POSTGRES_AWAY = "postgres_away"
    MLFLOW_KILL = "mlflow_kill"
    REFUSED_ALIAS = "refused_alias"


_COUNTS = {
    Fault.KILL_AFTER_COPY: 5,
    Fault.KILL_AFTER_COMMIT: 5,
    Fault.KILL_BEFORE_PUBLISH: 5,
    Fault.KILL_DURING_PUBLISH: 5,
    Fault.KILL_DURING_SWAP: 5,
    Fault.KILL_DURING_ASSIGNMENT: 5,
    Fault.KILL_RANDOM: 25,
    Fault.ZOMBIE: 5,
    Fault.ZOMBIE_AFTER_COPY: 3,
    Fault.ZOMBIE_AFTER_COMMIT: 3,
    Fault.JOIN: 10,
    Fault.BROKER_KILL: 5,
    Fault.POSTGRES_KILL: 5,
    Fault.POSTGRES_AWAY: 1,
    Fault.MLFLOW_KILL: 3,
    Fault.REFUSED_ALIAS: 3,
}
"""Numbers of a full run. A leave follows every join."""


def faults_of(minutes: float, seed: int) -> list[Fault]:
    """Return the faults of a run in order; at least one of each kind, more in proportion to the minutes.

    Args:
        minutes: length of the run's part with faults.
        seed: of the order.
    """
    share = minutes / FULL_MINUTES
    order = [fault for fault, count in _COUNTS.items() for _ in range(max(1, round(count * share)))]
    random.Random(seed).shuffle(order)  # noqa: S311 - repeatable, not secret
    joined = False
    faults = []
    for fault in order:
        if fault is Fault.JOIN and joined:
            faults.append(Fault.LEAVE)
        faults.append(fault)
        joined = joined or fault is Fault.JOIN
    return [*faults, Fault.LEAVE]


def away_seconds(minutes: float) -> float:
    """Return for how long the database is stopped: a minute in a full run."""
    return max(10.0, 60.0 * min(1.0, minutes / FULL_MINUTES))


def baseline_swaps(minutes: float) -> int:
    """Return the number of alias moves that are timed before the faults."""
    return max(5, round(20 * minutes / FULL_MINUTES))


def alias_moves(minutes: float) -> int:
    """Return the least number of alias moves of a run, timed ones included."""
    return max(baseline_swaps(minutes) + 3, round(52 * minutes / FULL_MINUTES))
