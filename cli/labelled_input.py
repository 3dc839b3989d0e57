"""Read labelled comments from an export or a generated history, and collect the rows that were left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import progress

if TYPE_CHECKING:
    from moderation.datasets.history import BadRow, LabelledComment

CsvOption = Annotated[Path | None, typer.Option("--csv", help="Labelled comments: an r/science export, either schema.")]
HistoryOption = Annotated[
    Path | None, typer.Option("--history", help="Labelled comments: a folder of `moderation generate`.")
]
_SHOWN = 10


class BadRows(list["BadRow"]):
    """Rows that were left out."""

    def show(self) -> None:
        """Print the first ten on standard error, and how many more there are."""
        for bad in self[:_SHOWN]:
            progress.print(f"line {bad.line} left out: {bad.cause}", markup=False)
        if len(self) > _SHOWN:
            progress.print(f"… and {len(self) - _SHOWN:,} more rows left out")


def read_labelled(
    csv: Path | None, history: Path | None, on_bad_row: Callable[[BadRow], None]
) -> Iterator[LabelledComment]:
    """Read the labelled comments that the options name.

    Raises:
        typer.BadParameter: neither or both are given.
        DatasetError: it cannot be read.
    """
    if (csv is None) == (history is None):
        raise typer.BadParameter("give either --csv FILE or --history FOLDER")
    if csv is not None:
        from moderation.datasets.rscience import read_rscience

        return read_rscience(csv, on_bad_row)
    from moderation.datasets.recorded import read_history

    assert history is not None  # noqa: S101 - one of the two is given
    return read_history(history, on_bad_row)
