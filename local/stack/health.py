"""Health of the stack: reasons as text, and a level that is the exit code of ``moderation status``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from local.stack.commands import PartStatus
from moderation.timestamps import moment_of

_STARTING_SECONDS = 60.0
_RECENT_SECONDS = 600.0
_NEEDED = ("kafka", "postgres")
"""Without these no worker decides."""
_REGISTRY = {
    "refused": "the version with the alias production does not verify",
    "no_alias": "no version has the alias production",
    "no_version": "the alias production names a version that the registry does not have",
    "no_answer": "MLflow does not answer the worker",
}


class Level(IntEnum):
    """The exit code of ``moderation status``."""

    WELL = 0
    DEGRADED = 1
    NOT_MODERATING = 2


@dataclass(frozen=True, slots=True)
class Health:
    """Health of the stack.

    Attributes:
        level: the worst level found.
        reasons: all findings, the worst first; empty if all is well.
    """

    level: Level
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """Status of the worker as its web views report it.

    Attributes:
        missing: what the worker waits for, of ``model`` and ``partitions``.
        waiting: undecided records, by assigned partition.
        per_second: records decided a second, over the last ten seconds.
        registry: what its last poll of the registry found, see ``moderation_registry_state``.
        override: ``reason``, ``until_us`` and ``is_over`` of the override by which the model serves; None without one.
    """

    missing: Sequence[str]
    waiting: Mapping[str, int]
    per_second: float
    registry: str = "followed"
    override: Mapping[str, Any] | None = None


def health_of(
    parts: Sequence[PartStatus], worker: str, answers: WorkerStatus | None, attention: Sequence[str] = ()
) -> Health:
    """Determine the health of a stack.

    Args:
        parts: status of all parts; empty if the stack is down.
        worker: name of the worker's part.
        answers: status of the worker; None if it does not answer.
        attention: conditions that need an operator although comments are decided.
    """
    if not parts:
        return Health(Level.NOT_MODERATING, ("the stack is down; `moderation up` starts it",))
    findings: list[tuple[Level, str]] = []
    for part in parts:
        if part.name != worker and part.state != "running":
            level = Level.NOT_MODERATING if part.name in _NEEDED else Level.DEGRADED
            findings.append((level, _not_running(part)))
    moderating = next((part for part in parts if part.name == worker), None)
    if moderating is None:
        findings.append((Level.NOT_MODERATING, "the stack has no worker; `moderation up` starts one"))
    else:
        findings += _of_worker(moderating, answers)
    findings += [(Level.DEGRADED, each) for each in attention]
    findings.sort(key=lambda each: -each[0])
    return Health(findings[0][0] if findings else Level.WELL, tuple(reason for _, reason in findings))


def _of_worker(part: PartStatus, answers: WorkerStatus | None) -> list[tuple[Level, str]]:
    if part.state != "running":
        return [(Level.NOT_MODERATING, _not_running(part))]
    findings: list[tuple[Level, str]] = []
    if part.restarts and part.uptime_seconds < _RECENT_SECONDS:
        ended = f", last with {part.last_exit}" if part.last_exit else ""
        times = "once" if part.restarts == 1 else f"{part.restarts} times"
        findings.append((Level.DEGRADED, f"{part.name} was started again {times}{ended}; see {part.log}"))
    if part.uptime_seconds < _STARTING_SECONDS and (answers is None or answers.missing or not answers.waiting):
        return [*findings, (Level.NOT_MODERATING, f"{part.name} is starting")]
    if answers is None:
        return [*findings, (Level.NOT_MODERATING, f"{part.name} runs and does not answer; see {part.log}")]
    if answers.missing:
        return [*findings, (Level.NOT_MODERATING, f"{part.name} has no {' and no '.join(answers.missing)}")]
    if not answers.waiting:
        cause = "it has no partition, or Kafka does not answer it"
        findings.append((Level.NOT_MODERATING, f"{part.name} does not report waiting records: {cause}; see {part.log}"))
    if (finding := _REGISTRY.get(answers.registry)) is not None:
        findings.append((Level.DEGRADED, f"{finding}; the model that serves continues"))
    if answers.override is not None:
        findings.append((Level.DEGRADED, _override(answers.override)))
    waiting = sum(answers.waiting.values())
    if waiting and not answers.per_second:
        findings.append((Level.NOT_MODERATING, f"{waiting:,} records wait, and none was decided for ten seconds"))
    return findings


def _override(override: Mapping[str, Any]) -> str:
    by = f"the model serves without certificate, by override: {override['reason']}"
    if override["is_over"]:
        return f"{by}; the override has ended, and no certified version can be opened"
    return f"{by}; until {moment_of(override['until_us']):%Y-%m-%dT%H:%MZ}"


def _not_running(part: PartStatus) -> str:
    ended = f"; it ended with {part.last_exit}" if part.last_exit else ""
    return f"{part.name} is not running ({part.state}){ended}; see {part.log}"
