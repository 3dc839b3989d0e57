"""Progress of long work: a bar on a terminal, else a line from time to time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cli.output import printable, progress
from moderation.progress import Step

LINE_SECONDS = 10.0
"""Without a terminal, the least time between two lines."""


class Shown(Protocol):
    """What shows the steps of a command."""

    def update(self, step: str) -> None:
        """Show a step; a :class:`moderation.progress.Step` also states the share that is done."""


@contextmanager
def shown_progress(first: str, console: Console = progress) -> Iterator[Shown]:
    """Show the progress of a command on standard error while the ``with`` statement runs.

    Args:
        first: the first step.
        console: where to show it.

    Yields:
        What receives the steps.
    """
    if not console.is_terminal:
        yield Lines(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        shown = _Bar(bar)
        shown.update(first)
        yield shown


class Lines:
    """Print steps as lines: none in the first ten seconds, then at most one in ten seconds.

    Args:
        print_line: prints a line.
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, print_line: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._print_line = print_line
        self._clock = clock
        self._started = self._printed = clock()

    def update(self, step: str) -> None:
        """Print the step if the last line was printed long enough ago."""
        current = self._clock()
        if current - self._printed < LINE_SECONDS:
            return
        self._printed = current
        share = f" ({step.share:.0%})" if isinstance(step, Step) else ""
        self._print_line(f"{printable(step)}{share}, after {current - self._started:.0f} s")


class _Bar:
    """A bar of rich: it pulses until a step states a share, and moves with every step that does."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None)

    def update(self, step: str) -> None:
        """Show the step."""
        self._bar.update(self._task, description=printable(step))
        if isinstance(step, Step):
            # A full bar would stop the clock beside it.
            self._bar.update(self._task, total=1.0, completed=min(step.share, 0.999))
