"""Run the commands of docs/tutorial-own-data.md in a temporary folder: ``python -m local.docs.tutorial``.

``--write FOLDER`` only writes the three example files there.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from local.stack.environment import inherited_environment
from moderation.datasets.history import LabelledComment
from moderation.datasets.synthetic import TrafficConfig, labelled_history
from moderation.timestamps import moment_of

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-own-data.md"
CSV, DUMP, SCORES = "forum.csv", "reddit.ndjson.gz", "scores.parquet"
ROWS = 1_500
_RUN, _REFUSED = "console", "console refused"
_PROMPT = "$ "

Run = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command; returns its exit code and what it printed."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the page.

    Attributes:
        command: its words.
        expected: lines of the page below it. Each must be part of what the command prints; ``…`` stands for any text.
        is_refused: whether it must fail.
    """

    command: tuple[str, ...]
    expected: tuple[str, ...]
    is_refused: bool

    def complaints(self, exit_code: int, printed: str) -> list[str]:
        """Return how what the command did differs from the page."""
        found = [] if (exit_code != 0) is self.is_refused else [f"exit code {exit_code}"]
        lines = [" ".join(line.split()) for line in printed.splitlines()]
        return found + [
            f"not printed: {line}" for line in self.expected if not any(_occurs(line, each) for each in lines)
        ]


def steps(text: str) -> list[Step]:
    """Return the commands of a page: the blocks ``console`` and ``console refused``, in which commands follow ``$``.

    Args:
        text: of the page.
    """
    found: list[Step] = []
    language = None
    for line in text.splitlines():
        if line.startswith("```"):
            language = line.removeprefix("```") if language is None else None
        elif language in (_RUN, _REFUSED) and line.startswith(_PROMPT):
            found.append(Step(tuple(shlex.split(line.removeprefix(_PROMPT))), (), language == _REFUSED))
        elif language in (_RUN, _REFUSED) and line.strip():
            last = found[-1]
            found[-1] = Step(last.command, (*last.expected, line), last.is_refused)
    return found


def run_steps(page: Sequence[Step], run: Run, on_output: Callable[[str], None] = lambda text: None) -> list[str]:
    """Run commands one after another, until one differs from the page.

    Args:
        page: the commands.
        run: runs one of them.
        on_output: receives each command and what it printed.

    Returns:
        How the last command differs from the page; empty if none does.
    """
    for step in page:
        on_output(f"$ {shlex.join(step.command)}")
        exit_code, printed = run(step.command)
        on_output(printed)
        if complaints := step.complaints(exit_code, printed):
            return [f"{shlex.join(step.command)}: {each}" for each in complaints]
    return []


def write_files(folder: Path, rows: int = ROWS) -> None:
    """Write the three files of the tutorial, each with other generated comments.

    Args:
        folder: created if absent.
        rows: rows of each file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / CSV, _comments(1, rows))
    _write_dump(folder / DUMP, _comments(2, rows))
    _write_scores(folder / SCORES, _comments(3, rows))


def _comments(seed: int, rows: int) -> Iterator[LabelledComment]:
    history = labelled_history(TrafficConfig(seed=seed, days=10, comments_per_day=max(rows // 5, 1)))
    return islice(history, rows)


def _write_csv(path: Path, rows: Iterator[LabelledComment]) -> None:
    """Write what a forum's administration exports: UTF-16, semicolons, days before months, its own words."""
    with path.open("w", newline="", encoding="utf-16") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(("ref", "member", "posted", "message", "decision"))
        for row in rows:
            posted = moment_of(row.comment.event_time_us).strftime("%d/%m/%Y %H:%M:%S")
            decision = "gone" if row.removed else "live"
            table.writerow((row.comment.comment_id, row.comment.author_key, posted, row.comment.body, decision))


def _write_dump(path: Path, rows: Iterator[LabelledComment]) -> None:
    """Write JSON lines in the form of Pushshift, with a label added."""
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for row in rows:
            fields = {
                "id": row.comment.comment_id,
                "author": row.comment.author_key,
                "subreddit": row.comment.community,
                "created_utc": row.comment.event_time_us // 1_000_000,
                "body": row.comment.body,
                "score": 1,
                "removed": row.removed,
            }
            file.write(json.dumps(fields) + "\n")


def _write_scores(path: Path, rows: Iterator[LabelledComment]) -> None:
    """Write a data set of texts that people rated from 0 to 1."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    random = Random(0)  # noqa: S311 - seeded pseudo-random numbers are intended
    columns: dict[str, list[object]] = {"comment_text": [], "toxicity": [], "created_date": []}
    for row in rows:
        columns["comment_text"].append(row.comment.body)
        columns["toxicity"].append(round(random.uniform(0.5, 1) if row.removed else random.uniform(0, 0.49), 3))
        columns["created_date"].append(moment_of(row.comment.event_time_us))
    write_table(pa.table(columns), path)


def _occurs(line: str, printed: str) -> bool:
    """Whether the parts of a line of the page, between ``…``, occur in a printed line, in this order."""
    at = 0
    for part in (" ".join(part.split()) for part in line.split("…")):
        found = printed.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files; without ``--write`` also run the page."""
    parser = argparse.ArgumentParser(prog="python -m local.docs.tutorial", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="only write the three files to this folder")
    folder = parser.parse_args(arguments).write
    if folder is not None:
        write_files(folder)
        sys.stdout.write(f"{CSV}, {DUMP} and {SCORES} are in {folder}\n")
        return
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="moderation-tutorial-") as scratch:
        write_files(Path(scratch))

        def run(command: Sequence[str]) -> tuple[int, str]:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "cli.main", *command[1:]],
                cwd=scratch,
                env=inherited_environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            return done.returncode, done.stdout

        complaints = run_steps(steps(PAGE.read_text(encoding="utf-8")), run, lambda text: print(text, flush=True))  # noqa: T201
    if complaints:
        raise SystemExit("\n".join(complaints))
    sys.stdout.write(f"every command did what docs/{PAGE.name} says, in {time.monotonic() - started:.0f} s\n")


if __name__ == "__main__":
    main()
