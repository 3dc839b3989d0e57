"""One supervised program: how it is started, when it is ready, how it is stopped, when it is left alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from moderation.errors import ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Account:
    """The system account a program runs as."""

    name: str
    user_id: int
    group_id: int


@dataclass(frozen=True, slots=True)
class Program:
    """What the stack starts and keeps running.

    Attributes:
        name: lower-case letters, digits and hyphens; names its log and its state.
        argv: executable and arguments. Other accounts may read them: no secret belongs here.
        cwd: the folder it runs in.
        env: variables added to the inherited environment; kept in a file only the owner can read.
        account: the account it runs as; None is the caller's.
        address: where people find it, e.g. ``127.0.0.1:9092``.
        depends_on: names of programs that must be ready before it is started.
        prepare: called before it is started, and not when it is running already.
        ready: whether it answers; asked until it is true. None: it is ready when it has run for a second.
        ready_seconds: how long that may take.
        after_ready: called each time it is found ready, before those that depend on it start.
        stop_signal: name of the signal that stops it, sent to its process group.
        stop_seconds: time it has to stop before it is killed.
        no_restart_codes: exit codes after which it is not started again.
        first_delay_seconds: delay before the first restart; doubles with every failure in a row.
        delay_cap_seconds: longest delay.
        healthy_seconds: a run at least this long forgets earlier failures.
    """

    name: str
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    account: Account | None = None
    address: str = ""
    depends_on: tuple[str, ...] = ()
    prepare: Callable[[], None] = _nothing
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 180.0
    after_ready: Callable[[], None] = _nothing
    stop_signal: str = "TERM"
    stop_seconds: float = 20.0
    no_restart_codes: frozenset[int] = frozenset({78})
    first_delay_seconds: float = 1.0
    delay_cap_seconds: float = 30.0
    healthy_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse a name that cannot be a file's and a section's."""
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"program {self.name!r}", "a name is lower-case letters, digits and hyphens")


def levels(programs: Iterable[Program]) -> dict[str, int]:
    """How deep each program stands on others: 0 if it depends on none. Programs must be in start order."""
    depth: dict[str, int] = {}
    for program in programs:
        depth[program.name] = 1 + max((depth[name] for name in program.depends_on), default=-1)
    return depth


def in_start_order(programs: Iterable[Program]) -> list[Program]:
    """Sort programs so that each comes after what it depends on.

    Raises:
        ConfigurationError: two programs share a name, one depends on an unknown one, or they wait for each other.
    """
    waiting = list(programs)
    names = [program.name for program in waiting]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"program {twice[0]}", "the name is given twice", "Name each program differently.")
    for program in waiting:
        if unknown := sorted(set(program.depends_on) - set(names)):
            raise ConfigurationError(
                f"program {program.name}", f"it depends on {unknown[0]}, which is no program", "Mend depends_on."
            )
    ordered: list[Program] = []
    while waiting:
        done = {program.name for program in ordered}
        startable = [program for program in waiting if done.issuperset(program.depends_on)]
        if not startable:
            circle = ", ".join(program.name for program in waiting)
            raise ConfigurationError(f"programs {circle}", "they wait for each other", "Mend depends_on.")
        ordered += startable
        waiting = [program for program in waiting if program not in startable]
    return ordered
