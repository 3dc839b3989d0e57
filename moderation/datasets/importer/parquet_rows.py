"""Read the rows of Parquet files, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from moderation.errors import DatasetError

_BATCH_ROWS = 10_000


def parquet_columns(stream: BinaryIO, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the names of the columns and the first rows.

    Raises:
        DatasetError: the file is not Parquet, or damaged.
    """
    file = _open(stream, name)
    names = list(file.schema_arrow.names)
    for number, row in enumerate(parquet_rows(stream, name, range(len(names)))):
        return names, [row] if number == 0 else []
    return names, []


def parquet_rows(
    stream: BinaryIO, name: str, positions: Sequence[int], on_share: Callable[[float], None] = lambda share: None
) -> Iterator[tuple[Any, ...]]:
    """Yield the cells of some columns, row by row.

    Args:
        stream: must be seekable.
        name: name of the file for messages.
        positions: numbers of the columns, from 0.
        on_share: called with the share of the rows of every batch that is read.

    Raises:
        DatasetError: the file is not Parquet, or damaged.
    """
    file = _open(stream, name)
    names = file.schema_arrow.names
    import pyarrow

    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[names[position] for position in positions]):
            on_share(batch.num_rows / max(file.metadata.num_rows, 1))
            columns = {each: batch.column(index).to_pylist() for index, each in enumerate(batch.schema.names)}
            yield from zip(*(columns[names[position]] for position in positions), strict=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(name, error) from error


def _open(stream: BinaryIO, name: str) -> Any:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(stream)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> DatasetError:
    detail = " ".join(str(error).split())[:200]
    return DatasetError(name, f"it is not a readable Parquet file ({detail})", "Copy or download the file again.")
