"""Read the rows of Parquet files, in batches. Fields of structs are columns of their own, called ``outer.inner``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from moderation.datasets.importer.encoding import decoded_line
from moderation.datasets.importer.json_rows import MOST_LEVELS
from moderation.errors import DatasetError

_BATCH_ROWS = 10_000
_SAMPLED = 100


class _Leaf(NamedTuple):
    """A column: the number of its top-level field, the names of the fields inside it, and whether it has bytes."""

    top: int
    inner: tuple[str, ...]
    is_binary: bool


def parquet_columns(stream: BinaryIO, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the names of the columns and the first rows.

    Raises:
        DatasetError: the file is not Parquet, or damaged.
    """
    file = _open(stream, name)
    leaves = _leaves(file.schema_arrow)
    tops = list(file.schema_arrow.names)
    names = [".".join((tops[leaf.top], *leaf.inner)) for leaf in leaves]
    return names, list(islice(parquet_rows(stream, name, range(len(names)), batch_rows=_SAMPLED), _SAMPLED))


def parquet_rows(
    stream: BinaryIO,
    name: str,
    positions: Sequence[int],
    on_share: Callable[[float], None] = lambda share: None,
    batch_rows: int = _BATCH_ROWS,
) -> Iterator[tuple[Any, ...]]:
    """Yield the cells of some columns, row by row. Bytes are read as UTF-8.

    Args:
        stream: must be seekable.
        name: name of the file for messages.
        positions: numbers of the columns, from 0.
        on_share: called with the share of the rows of every batch that is read.
        batch_rows: rows that are read at a time.

    Raises:
        DatasetError: the file is not Parquet, or damaged.
    """
    file = _open(stream, name)
    import pyarrow

    all_leaves, names = _leaves(file.schema_arrow), list(file.schema_arrow.names)
    leaves = [all_leaves[position] for position in positions]
    tops = sorted({leaf.top for leaf in leaves})
    # Arrow selects by name and by prefix of nested names: of names that are not unique, it would read another column.
    is_plain = len(set(names)) == len(names) and not any("." in each for each in names)
    order = {top: at for at, top in enumerate(tops)} if is_plain else {top: top for top in tops}
    wanted = [names[top] for top in tops] if is_plain else None
    try:
        for batch in file.iter_batches(batch_size=batch_rows, columns=wanted):
            on_share(batch.num_rows / max(file.metadata.num_rows, 1))
            columns = {top: _values(batch.column(at)) for top, at in order.items()}
            yield from zip(*(_cells(columns[leaf.top], leaf) for leaf in leaves), strict=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(name, error) from error


def _leaves(schema: Any) -> list[_Leaf]:
    from pyarrow import types

    def inside(top: int, inner: tuple[str, ...], kind: Any) -> Iterator[_Leaf]:
        if types.is_struct(kind) and kind.num_fields and len(inner) < MOST_LEVELS:
            for each in kind:
                yield from inside(top, (*inner, each.name), each.type)
        else:
            is_binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
            yield _Leaf(top, inner, is_binary)

    return [leaf for top, field in enumerate(schema) for leaf in inside(top, (), field.type)]


def _values(column: Any) -> list[Any]:
    """Return the values of a column; of a time that Python cannot represent, number and unit as text."""
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):
        values = [_value(scalar) for scalar in column]
    return values


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return f"{getattr(scalar, 'value', '')} {getattr(scalar.type, 'unit', '')}"


def _cells(values: list[Any], leaf: _Leaf) -> list[Any]:
    for key in leaf.inner:
        values = [value.get(key) if isinstance(value, dict) else None for value in values]
    return [decoded_line(value)[0] if value is not None else None for value in values] if leaf.is_binary else values


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
