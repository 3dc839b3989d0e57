"""Find the records that end the process that decides them, by deciding them in another process.

A process that runs out of memory, crashes in a library or never finishes a record leaves no error to examine. After
such an end, the worker first has the records at its last offset decided here, and encoded for the ledger and the
topics, without writing to either. They are decided in small groups; the records of a group that ends the child are
decided one by one. Only a record that ends the child alone, several times, goes into quarantine: an end for another
reason does not repeat at the same record.

    python -m stream.worker.probe    the child: reads one line of JSON per group, writes one line when it is done
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

from moderation.adapters.sql import ledger_writes
from moderation.contracts import NEWEST_RULES, Comment, Fate, Rules, read_record, to_json
from moderation.ledger import pane_sums
from stream.worker.messages import Record, RecordPosition, ServingModel

COMMAND = [sys.executable, "-P", "-m", "stream.worker.probe"]
_ATTEMPTS = 3
_GROUP = 200
"""Records per group; deciding one by one takes longer, and nothing else is decided meanwhile."""
_RECORD_SECONDS = 5.0
"""Limit of processor time, which does not depend on the load of the machine."""
_WALL_SECONDS = 60
_LONGEST_SECONDS = 120.0
_START_SECONDS = 180.0
_LOOK_SECONDS = 0.2
_ANSWER_SECONDS = 2.0 * _WALL_SECONDS
_MEMORY_BYTES = 1024 * 1024 * 1024
_NO_MEMORY = 70
_TOPIC_ID = UUID(int=0)
_READY, _DONE = "ready", "done"
_CONTROL = Record(0, 0, 0, to_json(Comment("control", "control", "A text that every model can score.", 0)))
_log = logging.getLogger(__name__)


class ProbeFailed(RuntimeError):
    """The child does not start or answer, independent of the records."""


class ProbeStopped(Exception):
    """The caller no longer needs the answer."""


class _Child:
    """A process that loads the model once and forks a process that decides records, again whenever that one ends."""

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted
        self._process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def start(self) -> None:
        """Wait until the child has loaded the model.

        Raises:
            ProbeFailed: the child does not start.
            ProbeStopped: the caller no longer waits.
        """
        if self._line(_START_SECONDS) != _READY:
            raise ProbeFailed(f"{' '.join(COMMAND)} does not start")

    def crash_cause(self, *records: Record) -> str | None:
        """Have records decided together; return what ended the process, or None.

        Raises:
            ProbeFailed: the child does not answer.
            ProbeStopped: the caller no longer waits.
        """
        request = [[base64.b64encode(record.value).decode(), record.append_us] for record in records]
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
        answer = self._line(_ANSWER_SECONDS)
        if not answer:
            raise ProbeFailed(f"{' '.join(COMMAND)} does not answer")
        return None if answer == _DONE else answer

    def end(self) -> None:
        """End the child."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError), self._process:
            pass  # closes the pipes and waits for the process

    def _line(self, seconds: float) -> str:
        """Return the child's next line; empty if it ended or did not answer in time."""
        if self._process.stdout is None:
            return ""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ready, _, _ = select.select([self._process.stdout], [], [], _LOOK_SECONDS)
            if ready:
                return self._process.stdout.readline().strip().decode()
            if not self._is_wanted():
                raise ProbeStopped
        return ""


def find_crashing_records(
    records: Sequence[Record], is_wanted: Callable[[], bool] = lambda: True
) -> dict[RecordPosition, str]:
    """Return the records that end the process that decides them, even alone.

    Args:
        records: records to try, in order.
        is_wanted: called several times a second; returns whether the caller still waits.

    Returns:
        The cause by position: the name of a signal, ``MemoryError`` or a time limit.

    Raises:
        ProbeFailed: the child does not start, also ends at a valid text, or takes too long.
        ProbeStopped: the caller no longer waits.
    """
    crashing: dict[RecordPosition, str] = {}
    child = _Child(is_wanted)
    try:
        child.start()
        until = time.monotonic() + _LONGEST_SECONDS
        for record in _suspects(child, records):
            if time.monotonic() > until:
                raise ProbeFailed(f"the probe takes longer than {_LONGEST_SECONDS:g} s")
            if child.crash_cause(record) is None:
                continue
            _log.warning("a process ended at partition %d offset %d; this record is tried alone", *record.position)
            causes = [child.crash_cause(record) for _ in range(_ATTEMPTS)]
            if (cause := child.crash_cause(_CONTROL)) is not None:
                raise ProbeFailed(f"the child ends at a text that every model can score ({cause})")
            if None not in causes:
                crashing[record.position] = str(causes[-1])
    finally:
        child.end()
    return crashing


def _suspects(child: _Child, records: Sequence[Record]) -> Iterator[Record]:
    """Yield the records of the groups that end the child."""
    for first in range(0, len(records), _GROUP):
        group = records[first : first + _GROUP]
        if child.crash_cause(*group) is not None:
            yield from group


def serve() -> None:
    """Run the child: load the model, then decide records until the parent has no more."""
    from moderation.bootstrap import production_model
    from moderation.settings import load_settings

    # Output of libraries must not be taken for an answer.
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    settings = load_settings()
    production = production_model(settings)
    last_good = production.open_last_good()
    version, opened = last_good or ("", production.open_version(production.resolve() or ""))
    model = ServingModel(opened.kernel, opened.policy, version, opened.exploration_key)
    _answer(answers, _READY)
    while (pid := os.fork()) != 0:
        _, status = os.waitpid(pid, 0)
        if status == 0:
            return
        _answer(answers, _ended_by(status))
    try:
        _limit_memory()
        _decide_all(answers, model, Rules.since(settings.earliest_event_date))
    finally:
        os._exit(0)


def rehearse(records: Sequence[Record], model: ServingModel, rules: Rules = NEWEST_RULES) -> None:
    """Process records as the worker does: read, decide, encode for COPY and for the topics.

    Raises:
        Exception: any error of these steps.
    """
    from stream.worker import publisher
    from stream.worker.decider import decision_rows, judge

    comments = [(record, read_record(record.value, record.append_us, rules)) for record in records]
    rows = decision_rows(comments, judge(comments, model), [Fate.COUNTED] * len(comments))
    ledger_writes.decision_lines(_TOPIC_ID, rows, model.versions)
    pane_sums(rows, model.versions)
    for row in rows:
        publisher.encode_decision("comments", str(_TOPIC_ID), row, model.versions)


def _decide_all(answers: int, model: ServingModel, rules: Rules) -> None:
    while line := _read_line():
        records = [Record(0, 0, append_us, base64.b64decode(value)) for value, append_us in json.loads(line)]
        if not _passes(records, model, rules):
            for record in records:
                _passes([record], model, rules)
        _answer(answers, _DONE)


def _passes(records: Sequence[Record], model: ServingModel, rules: Rules) -> bool:
    """Return whether records are decided without an error; an error that cannot be caught ends the process."""
    signal.setitimer(signal.ITIMER_PROF, _RECORD_SECONDS)
    signal.alarm(_WALL_SECONDS)
    try:
        rehearse(records, model, rules)
    except MemoryError:
        os._exit(_NO_MEMORY)
    except Exception:
        return False  # the worker itself finds the records that raise such an error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    return True


def _read_line() -> bytes:
    """Return the parent's next line without reading beyond it."""
    read = b""
    while not read.endswith(b"\n") and (part := os.read(sys.stdin.fileno(), 1 << 16)):
        read += part
    return read


def _ended_by(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code in (-signal.SIGPROF, -signal.SIGALRM):
        return f"no end within {_RECORD_SECONDS:g} s"
    if code == _NO_MEMORY:
        return "MemoryError"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _answer(answers: int, word: str) -> None:
    os.write(answers, word.encode() + b"\n")


def _limit_memory() -> None:
    """Make allocations fail that exceed the current size by more than one gibibyte; on Linux only."""
    sizes = Path("/proc/self/statm")
    if sizes.exists():
        size_bytes = int(sizes.read_text().split()[0]) * resource.getpagesize() + _MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))


if __name__ == "__main__":
    serve()
