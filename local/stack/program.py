"""A supervised program: start, readiness, stop and restart rules."""

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
    """A program that the stack starts and keeps running.

    Attributes:
        name: lower-case letters, digits and hyphens; names its log and its state.
        argv: executable and arguments. They must not contain secrets, because other accounts can read them.
        cwd: the folder it runs in.
        env: variables added to the inherited environment; stored in a file that only the owner can read.
        account: the account it runs as; None is the caller's.
        address: for users, e.g. ``127.0.0.1:9092``.
        depends_on: names of programs that must be ready before it is started.
        prepare: called before a start; not called if it runs already.
        ready: whether it answers; called until it returns True. None: it is ready after it has run for a second.
        ready_seconds: time limit for becoming ready.
        after_ready: called each time it becomes ready, before dependent programs start.
        stop_signal: name of the signal that stops it, sent to its process group.
        stop_seconds: time after which it is killed if it has not stopped.
        no_restart_codes: exit codes after which it is not started again.
        first_delay_seconds: delay before the first restart; doubles with every failure in a row.
        delay_cap_seconds: longest delay.
        healthy_seconds: a run of at least this length resets the delay.
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
        """Refuse a name that is not usable as a file name and as a section name."""
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"program {self.name!r}", "a name is lower-case letters, digits and hyphens")


def levels(programs: Iterable[Program]) -> dict[str, int]:
    """Return the dependency depth of each program: 0 if it depends on none. Programs must be in start order."""
    depth: dict[str, int] = {}
    for program in programs:
        depth[program.name] = 1 + max((depth[name] for name in program.depends_on), default=-1)
    return depth


def in_start_order(programs: Iterable[Program]) -> list[Program]:
    """Sort programs so that each comes after what it depends on.

    Raises:
        ConfigurationError: two programs have one name, one depends on an unknown one, or dependencies form a cycle.
    """
    waiting = list(programs)
    names = [program.name for program in waiting]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"program {twice[0]}", "the name is given twice", "Name each program differently.")
    for program in waiting:
        if unknown := sorted(set(program.depends_on) - set(names)):
            raise ConfigurationError(
                f"program {program.name}", f"it depends on {unknown[0]}, which is not a program", "Fix depends_on."
            )
    ordered: list[Program] = []
    while waiting:
        done = {program.name for program in ordered}
        startable = [program for program in waiting if done.issuperset(program.depends_on)]
        if not startable:
            cycle = ", ".join(program.name for program in waiting)
            raise ConfigurationError(f"programs {cycle}", "they wait for each other", "Fix depends_on.")
        ordered += startable
        waiting = [program for program in waiting if program not in startable]
    return ordered
