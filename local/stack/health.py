"""Whether the stack moderates, in words and as a number that scripts can ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from local.stack.commands import PartStatus

_STARTING_SECONDS = 60.0
_RECENT_SECONDS = 600.0
_NEEDED = ("kafka", "postgres")
"""Without these no worker decides."""


class Level(IntEnum):
    """The exit code of ``moderation status``."""

    WELL = 0
    DEGRADED = 1
    NOT_MODERATING = 2


@dataclass(frozen=True, slots=True)
class Health:
    """How the stack is.

    Attributes:
        level: the worst of what was found.
        reasons: what was found, the worst first; empty if all is well.
    """

    level: Level
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What the worker's web views say.

    Attributes:
        missing: what it waits for, of ``model`` and ``partitions``.
        waiting: records not decided yet, by own partition.
        per_second: records decided a second, over the last ten seconds.
    """

    missing: Sequence[str]
    waiting: Mapping[str, int]
    per_second: float


def health_of(
    parts: Sequence[PartStatus], worker: str, answers: WorkerStatus | None, attention: Sequence[str] = ()
) -> Health:
    """Judge a stack.

    Args:
        parts: all of it; empty if the stack is down.
        worker: name of the part that moderates.
        answers: of the worker; None if it does not answer.
        attention: what needs a person though comments are decided.
    """
    if not parts:
        return Health(Level.NOT_MODERATING, ("the stack is down; `moderation up` starts it",))
    found: list[tuple[Level, str]] = []
    for part in parts:
        if part.name != worker and part.state != "running":
            level = Level.NOT_MODERATING if part.name in _NEEDED else Level.DEGRADED
            found.append((level, _not_running(part)))
    moderating = next((part for part in parts if part.name == worker), None)
    if moderating is None:
        found.append((Level.NOT_MODERATING, "the stack has no worker; `moderation up` starts one"))
    else:
        found += _of_worker(moderating, answers)
    found += [(Level.DEGRADED, each) for each in attention]
    found.sort(key=lambda each: -each[0])
    return Health(found[0][0] if found else Level.WELL, tuple(reason for _, reason in found))


def _of_worker(part: PartStatus, answers: WorkerStatus | None) -> list[tuple[Level, str]]:
    if part.state != "running":
        return [(Level.NOT_MODERATING, _not_running(part))]
    found: list[tuple[Level, str]] = []
    if part.restarts and part.uptime_seconds < _RECENT_SECONDS:
        ended = f", last with {part.last_exit}" if part.last_exit else ""
        times = "once" if part.restarts == 1 else f"{part.restarts} times"
        found.append((Level.DEGRADED, f"{part.name} was started again {times}{ended}; see {part.log}"))
    if part.uptime_seconds < _STARTING_SECONDS and (answers is None or answers.missing or not answers.waiting):
        return [*found, (Level.NOT_MODERATING, f"{part.name} is starting")]
    if answers is None:
        return [*found, (Level.NOT_MODERATING, f"{part.name} runs and does not answer; see {part.log}")]
    if answers.missing:
        return [*found, (Level.NOT_MODERATING, f"{part.name} has no {' and no '.join(answers.missing)}")]
    if not answers.waiting:
        cause = "it has no partition, or Kafka does not answer it"
        found.append((Level.NOT_MODERATING, f"{part.name} does not say what waits: {cause}; see {part.log}"))
    waiting = sum(answers.waiting.values())
    if waiting and not answers.per_second:
        found.append((Level.NOT_MODERATING, f"{waiting:,} records wait, and none was decided for ten seconds"))
    return found


def _not_running(part: PartStatus) -> str:
    ended = f"; it ended with {part.last_exit}" if part.last_exit else ""
    return f"{part.name} is not running ({part.state}){ended}; see {part.log}"
