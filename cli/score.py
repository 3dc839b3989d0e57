"""``moderation score`` and ``moderation explain``: score texts with a model folder, without servers."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.table import Table

from cli.line_batches import batches, read_lines
from cli.options import JsonOption
from cli.output import console, print_json, progress
from moderation.errors import DatasetError, InvalidRecord
from moderation.timestamps import now_us

if TYPE_CHECKING:
    from moderation.adapters.model_folder.folder import OpenModel
    from moderation.contracts import Read

ModelOption = Annotated[Path, typer.Option("--model", help="Model folder written by `moderation train`.")]


def score(
    model: ModelOption,
    file: Annotated[Path | None, typer.Option("--in", help="JSON lines to score. Default: standard input.")] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Lines scored together; 1 writes each result before the next line is read.")
    ] = 1_000,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print JSON lines; the command has no other format.")
    ] = True,
) -> None:
    """Score comments: read JSON lines, write one JSON line for each, in order.

    A line that cannot be read as a comment becomes {"dead_letter": {"line": …, "reason": …}}; the others are scored.
    The exit code is 0 if every line has a result.

    Example: `moderation score --model model --in comments.jsonl`
    """
    from moderation.bootstrap import load
    from moderation.settings import load_settings

    settings = load_settings()
    opened = load(model, settings)
    gc.freeze()  # the model and the tokenizer live until the end, so the collector skips them
    try:
        stream = sys.stdin.buffer if file is None else file.open("rb")
    except OSError as error:
        raise DatasetError(str(file), error.strerror or str(error), "Name a readable file.") from error
    scored = dead = 0
    with stream:
        for batch in batches(read_lines(stream), batch_size):
            for answer in _answers(opened, batch, scored + dead + 1, settings.earliest_event_date):
                sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
                scored += "comment" in answer
                dead += "dead_letter" in answer
            sys.stdout.buffer.flush()
    progress.print(f"{scored:,} comments scored, {dead:,} dead letters")


def explain_text(
    model: ModelOption,
    text: Annotated[str, typer.Argument(help="The comment's body.")],
    as_json: JsonOption = False,
) -> None:
    """Explain a score: show what every token adds to the log-odds. The parts sum to the logit.

    Example: `moderation explain --model model "you idiot!!!"`
    """
    from moderation.bootstrap import load
    from moderation.scoring import explain
    from moderation.settings import load_settings

    opened = load(model, load_settings())
    explanation = explain(opened.kernel, text)
    verdict = opened.policy.verdict(explanation.score_ppm)
    if as_json:
        print_json(
            {
                "score_ppm": explanation.score_ppm,
                "verdict": verdict,
                "policy_version": opened.policy.policy_version,
                "logit": explanation.logit,
                "intercept": explanation.intercept,
                "tokens": [{"token": part.name, "logit": part.logit} for part in explanation.tokens],
                "surface": [{"feature": part.name, "logit": part.logit} for part in explanation.surface],
            }
        )
        return
    console.print(
        f"score {explanation.score_ppm:,} ppm, verdict [bold]{verdict}[/bold], logit {explanation.logit:+.4f}"
    )
    table = Table("part", "adds to the logit", title="Strongest first; positive values favour removal")
    parts = [("(intercept)", explanation.intercept)]
    parts += [(part.name, part.logit) for part in explanation.tokens]
    parts += [(f"({part.name})", part.logit) for part in explanation.surface]
    for name, logit in sorted(parts, key=lambda part: -abs(part[1])):
        table.add_row(name, f"{logit:+.4f}", style="red" if logit > 0 else "green")
    console.print(table)


def _answers(opened: OpenModel, batch: list[bytes], first_line: int, earliest: date) -> Iterator[dict[str, Any]]:
    from moderation.contracts import Rules, at_least_review, read_record

    rules = Rules.since(earliest)

    def parse(raw: bytes) -> Read | InvalidRecord:
        try:
            return read_record(raw, current_us, rules)
        except InvalidRecord as error:
            return error

    current_us = now_us()
    parsed = [parse(raw) for raw in batch]
    bodies = [record.comment.body for record in parsed if not isinstance(record, InvalidRecord)]
    scores = iter(opened.kernel.score_many(bodies).tolist())
    for line, record in enumerate(parsed, start=first_line):
        if isinstance(record, InvalidRecord):
            yield {"dead_letter": {"line": line, "reason": record.reason}}
        else:
            score_ppm = next(scores)
            yield {
                "comment": record.comment,
                "score_ppm": score_ppm,
                "verdict": at_least_review(opened.policy.verdict(score_ppm), record.repairs),
                "repairs": record.repairs,
                "model_version": None,
                "policy_version": opened.policy.policy_version,
            }
