"""``moderation score`` and ``moderation explain``: score texts with a model folder, without servers."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.table import Table

from cli.import_options import ImportOptions, with_import_options
from cli.labelled_input import save_mapping, show_plan, stated_of
from cli.line_batches import ChainedStream, batches, read_lines
from cli.options import JsonOption
from cli.output import console, print_json, progress
from cli.output_files import write_stdout
from moderation.contracts.records import MAX_RECORD_BYTES
from moderation.errors import DatasetError, InvalidRecord
from moderation.timestamps import now_us

if TYPE_CHECKING:
    from moderation.adapters.model_folder.folder import OpenModel
    from moderation.contracts import Read
    from moderation.datasets.importer.report import LeftOut
    from moderation.datasets.importer.rows import Row

_BINARY = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ", b"PK\x03\x04", b"PAR1", b"\xff\xfe", b"\xfe\xff")
"""First bytes of compressed files, Parquet and UTF-16."""
ModelOption = Annotated[Path, typer.Option("--model", help="Model folder written by `moderation train`.")]


@with_import_options(files=False, former=False, labels=False)
def score(
    given: ImportOptions,
    model: ModelOption,
    file: Annotated[
        Path | None, typer.Option("--in", help="Comments to score: a file, or - . Default: standard input.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Lines scored together; 1 writes each result before the next line is read.")
    ] = 1_000,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print JSON lines; the command has no other format.")
    ] = True,
) -> None:
    """Score comments: read comment records as JSON lines, or any file that `moderation import` reads, one result each.

    A line that cannot be read as a comment becomes {"dead_letter": {"line": …, "reason": …}}; the others are scored.
    The exit code is 0 if every line has a result and at least one is a comment.

    Example: `moderation score --model model --in comments.jsonl`

    Example: `moderation score --model model --in dump.zst --columns body=text`
    """
    from moderation.bootstrap import load
    from moderation.settings import load_settings

    settings = load_settings()
    opened = load(model, settings)
    gc.freeze()  # the model and the tokenizer live until the end, so the collector skips them
    if file is not None and str(file) == "-":
        file = None
    try:
        stream = sys.stdin.buffer if file is None else file.open("rb")
    except OSError as error:
        raise DatasetError(str(file), error.strerror or str(error), "Name a readable file.") from error
    counts = Counter[str]()
    with stream:
        first = stream.readline(MAX_RECORD_BYTES + 2)
        if given.is_stated or _is_foreign(first, file):
            whole = ChainedStream(first, stream)
            answers = _foreign_answers(opened, given, file, whole, batch_size)
        else:
            answers = _record_answers(opened, ChainedStream(first, stream), batch_size, settings.earliest_event_date)
        for batch in answers:
            write_stdout(b"".join(orjson.dumps(answer) + b"\n" for answer in batch))
            counts.update("comment" if "comment" in answer else "dead_letter" for answer in batch)
    progress.print(f"{counts['comment']:,} comments scored, {counts['dead_letter']:,} dead letters")
    if counts["dead_letter"] and not counts["comment"]:
        raise DatasetError(
            "standard input" if file is None else str(file),
            "no line is a comment",
            "State the columns, e.g. --columns body=COLUMN; `moderation import FILE --dry-run` shows them.",
        )


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


def _is_foreign(first: bytes, file: Path | None) -> bool:
    """Whether the first line shows that a file does not consist of comment records as JSON lines."""
    from moderation.datasets.importer.dialect import names_text

    if first.startswith(_BINARY):
        return True
    try:
        value = orjson.loads(first.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        is_named = file is not None and file.suffix.lower() in (".csv", ".tsv", ".json")
        return is_named or first.strip() == b"[" or names_text(first.decode("utf-8", "replace"))
    if isinstance(value, dict):
        return not value.keys() & {"comment_id", "schema_version", "event_time_us"}
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _foreign_answers(
    opened: OpenModel, given: ImportOptions, file: Path | None, stream: ChainedStream, batch_size: int
) -> Iterator[list[dict[str, Any]]]:
    """Score the rows of a file that an importer reads, in order; a row that is left out is a dead letter."""
    from moderation.datasets.importer import find_inputs, plan_import
    from moderation.datasets.importer.rows import read_rows

    inputs = find_inputs(["-" if file is None else str(file)], lambda: stream)  # type: ignore[arg-type,return-value]
    plan = plan_import(inputs, stated_of(given), needs_labels=False, on_progress=lambda step: None)
    if plan.is_history:
        raise DatasetError(plan.name, "it is a folder of `moderation generate`", "Name its comments.jsonl.")
    show_plan(plan)
    save_mapping(given, plan)
    pending: list[Row | LeftOut] = []
    for row in read_rows(plan, pending.append):
        pending.append(row)
        if len(pending) >= batch_size:
            yield _scored_rows(opened, pending)
            pending.clear()
    yield _scored_rows(opened, pending)


def _scored_rows(opened: OpenModel, rows: Sequence[Row | LeftOut]) -> list[dict[str, Any]]:
    from moderation.datasets.importer.rows import Row

    scores = iter(opened.kernel.score_many([row.comment.body for row in rows if isinstance(row, Row)]).tolist())
    answers: list[dict[str, Any]] = []
    for row in rows:
        if isinstance(row, Row):
            score_ppm = next(scores)
            answers.append(
                {
                    "comment": row.comment,
                    "score_ppm": score_ppm,
                    "verdict": opened.policy.verdict(score_ppm),
                    "repairs": [],
                    "model_version": None,
                    "policy_version": opened.policy.policy_version,
                }
            )
        else:
            answers.append({"dead_letter": {"line": row.line, "reason": row.reason}})
    return answers


def _record_answers(
    opened: OpenModel, stream: ChainedStream, batch_size: int, earliest: date
) -> Iterator[list[dict[str, Any]]]:
    lines = 0
    for batch in batches(read_lines(stream), batch_size):
        yield list(_answers(opened, batch, lines + 1, earliest))
        lines += len(batch)


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
