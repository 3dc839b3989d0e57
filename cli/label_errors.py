"""``moderation label-errors``: list labels that are probably wrong, for people to look at."""

from __future__ import annotations

import csv as csv_files
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.import_options import ImportOptions, with_import_options
from cli.labelled_input import show_left_out, start_import
from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption
from cli.output import console, print_json, printable
from cli.output_files import check_output_file, write_file
from cli.progress_bar import shown_progress

if TYPE_CHECKING:
    from moderation.datasets.history import LabelledComment
    from moderation.training.label_errors import LabelSuspicions
    from moderation.training.metrics import Floats

COLUMNS = ("file", "row", "id", "label", "probability", "copies_removed", "copies_kept", "excerpt")
_EXCERPT = 200
# Spreadsheet programs run cells that begin with these as formulas.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@with_import_options(training=True)
def label_errors(
    given: ImportOptions,
    out: Annotated[Path, typer.Option(help="CSV file to write; an existing file is replaced.", dir_okay=False)],
    most: Annotated[int, typer.Option(min=1, help="Maximum number of comments to list.")] = 200,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the folds.")] = 0,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """List comments whose label is probably wrong, the least credible first.

    Every comment is scored by a model that has not seen it. A label is suspected if the model gives the other label at
    least the probability that comments with that label get on average (confident learning). Suspected labels are
    candidates: look at them, and correct the data where they are wrong. The CSV file contains the beginning of each
    text.

    Example: `moderation label-errors export.csv --out to-check.csv --most 100`

    --json prints {"out", "comments", "removed", "suspected", "suspected_removed", "suspected_kept", "listed",
    "contradicting_texts", "removed_confidence", "kept_confidence", "auc_mean", "bad_rows", "seconds"}.
    suspected_removed counts comments labelled as removed that look like kept ones; contradicting_texts counts texts
    that occur removed and kept, ignoring case and white space; the confidences are mean probabilities of the given
    label.
    """
    check_output_file(out, given.inputs)
    from moderation.bootstrap import new_lexicon
    from moderation.scoring import new_pipeline
    from moderation.settings import load_settings
    from moderation.training import collect_examples, train
    from moderation.training.corpus_report.figures import find_duplicates
    from moderation.training.label_errors import find_label_errors

    started = time.monotonic()
    with shown_progress("reading comments") as status:
        imported = start_import(given, status.update, seed=seed, data_folder=data_folder)
        rows = list(imported.comments(status.update))
        examples = collect_examples(((row.comment, row.removed) for row in rows), imported.weights)
        lexicon = new_lexicon(load_settings())
        trained = train(examples, lambda: new_pipeline(lexicon), [], folds=folds, seed=seed, on_progress=status.update)
        suspicions = find_label_errors(trained.probability, examples.removed)
        status.update("writing")
        listed = _write(out, rows, trained.probability, suspicions, most)
    show_left_out(imported)
    suspected = suspicions.is_suspected
    fields: dict[str, Any] = {
        "out": str(out),
        "comments": len(rows),
        "removed": int(examples.removed.sum()),
        "suspected": int(suspected.sum()),
        "suspected_removed": int((suspected & examples.removed).sum()),
        "suspected_kept": int((suspected & ~examples.removed).sum()),
        "listed": listed,
        "contradicting_texts": find_duplicates(examples.texts, examples.removed).contradicting,
        "removed_confidence": suspicions.removed_confidence,
        "kept_confidence": suspicions.kept_confidence,
        "auc_mean": trained.metrics.auc_mean,
        "bad_rows": imported.bad_row_count,
        "seconds": round(time.monotonic() - started, 1),
    }
    if as_json:
        print_json(fields)
        return
    console.print(
        f"{fields['suspected']:,} of {len(rows):,} labels are suspected: {fields['suspected_kept']:,} kept comments "
        f"that look like removed ones, {fields['suspected_removed']:,} removed comments that look like kept ones",
        highlight=False,
    )
    if contradicting := fields["contradicting_texts"]:
        console.print(f"{contradicting:,} texts occur both removed and kept", highlight=False)
    console.print(f"{out} lists {listed:,}, the least credible first", markup=False, highlight=False, soft_wrap=True)


def _write(
    out: Path, rows: Sequence[LabelledComment], probability: Floats, suspicions: LabelSuspicions, most: int
) -> int:
    """Write the CSV file; return the number of comments in it."""
    import numpy as np

    from moderation.training.label_errors import count_copies

    indices = suspicions.suspected(most)
    removed = np.array([row.removed for row in rows], bool)
    copies = count_copies([row.comment.body for row in rows], removed, indices)
    text = io.StringIO()
    table = csv_files.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for index, same in zip(indices.tolist(), copies, strict=True):
        row = rows[index]
        body = " ".join(row.comment.body.split())
        excerpt = body if len(body) <= _EXCERPT else body[: _EXCERPT - 1] + "…"
        table.writerow(
            [
                _cell(row.origin.file if row.origin else ""),
                row.origin.line if row.origin else "",
                _cell(row.comment.comment_id),
                "removed" if row.removed else "kept",
                f"{probability[index]:.4f}",
                same.removed,
                same.kept,
                _cell(excerpt),
            ]
        )
    write_file(out, text.getvalue())
    return len(indices)


def _cell(text: str) -> str:
    """Return text that is safe on a terminal and in a spreadsheet: a leading apostrophe prevents a formula."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
