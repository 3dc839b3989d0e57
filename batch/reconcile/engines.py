"""Engines that run the reconciliation SQL: DuckDB on one machine, or Spark; both return the same rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import duckdb

from batch.progress import OnProgress
from batch.reconcile.sql import RESULTS, STATEMENTS
from moderation.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EngineName = Literal["duckdb", "spark"]
_CACHED = ("copies", "unequal", "causes", "differences", "pane_causes")
"""Small tables that are read more than once; without a cache Spark would recompute them."""


class Engine(Protocol):
    """Runs the statements over Parquet files."""

    name: EngineName

    def run(self, inputs: Mapping[str, Path], folder: Path, on_progress: OnProgress) -> dict[str, Path]:
        """Run all statements.

        Args:
            inputs: for every input, and every table that exists already, a folder with at least one Parquet file.
            folder: for intermediate files and results.
            on_progress: receives one line at each step.

        Returns:
            For every result a Parquet file, or a folder of them, with unordered rows.
        """


@contextmanager
def opened_duckdb(folder: Path, memory_bytes: int = 2 * 1024**3) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB with all cores and bounded memory; it spills what does not fit into the folder.

    Args:
        folder: for its files; one folder for each DuckDB.
        memory_bytes: DuckDB's own bound; the process needs some more.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_bytes}B",
        "temp_directory": str(folder / "spilled"),
        "preserve_insertion_order": "false",
        "threads": str(os.cpu_count() or 1),
    }
    with duckdb.connect(str(folder / "work.duckdb"), config=config) as duck:
        yield duck


def _missing_tables(inputs: Mapping[str, Path]) -> list[tuple[str, str]]:
    """Return the names and statements of the tables that are not among the inputs, in order."""
    return [(name, statement) for name, statement in STATEMENTS.items() if name not in inputs]


class DuckDbEngine:
    """Engine on DuckDB; see :func:`opened_duckdb`.

    Args:
        memory_bytes: DuckDB's own bound; the process needs some more.
    """

    name: EngineName = "duckdb"

    def __init__(self, memory_bytes: int = 2 * 1024**3) -> None:
        self._memory_bytes = memory_bytes

    def run(self, inputs: Mapping[str, Path], folder: Path, on_progress: OnProgress) -> dict[str, Path]:
        """See :class:`Engine`."""
        results = {name: folder / f"{name}.parquet" for name in RESULTS}
        with opened_duckdb(folder, self._memory_bytes) as duck:
            for name, files in inputs.items():
                duck.read_parquet(f"{files}/*.parquet", hive_partitioning=False).create_view(name)
            for name, statement in _missing_tables(inputs):
                on_progress(f"duckdb: {name.replace('_', ' ')}")
                duck.execute(f"CREATE TABLE {name} AS {statement}")
            for name, path in results.items():
                duck.table(name).write_parquet(str(path), compression="zstd")
        return results


class SparkEngine:
    """Engine on Spark, by default on this machine.

    Args:
        master: where Spark runs; its workers must see the folders.
        memory: of the driver, in Spark's notation.
    """

    name: EngineName = "spark"

    def __init__(self, master: str = "local[*]", memory: str = "2g") -> None:
        self._master = master
        self._memory = memory

    def run(self, inputs: Mapping[str, Path], folder: Path, on_progress: OnProgress) -> dict[str, Path]:
        """See :class:`Engine`."""
        results = {name: folder / f"{name}.spark" for name in RESULTS}
        on_progress("spark: starting")
        spark = self._session(folder)
        try:
            for name, files in inputs.items():
                spark.read.parquet(str(files)).createOrReplaceTempView(name)
            for name, statement in _missing_tables(inputs):
                frame = spark.sql(statement)
                (frame.cache() if name in _CACHED else frame).createOrReplaceTempView(name)
            for name, path in results.items():
                on_progress(f"spark: {name.replace('_', ' ')}")
                spark.table(name).coalesce(1).write.parquet(str(path), compression="zstd")
        finally:
            spark.stop()
        return results

    def _session(self, folder: Path) -> SparkSession:
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise ConfigurationError("engine spark", "PySpark is not installed", "Install the extra spark.") from error
        try:
            return (
                SparkSession.builder.master(self._master)
                .appName("moderation reconcile")
                .config("spark.driver.memory", self._memory)
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.driver.host", "127.0.0.1")
                .config("spark.ui.enabled", "false")
                .config("spark.local.dir", str(folder / "spilled"))
                .config("spark.sql.shuffle.partitions", str(2 * (os.cpu_count() or 1)))
                .config("spark.sql.session.timeZone", "UTC")
                .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
                .getOrCreate()
            )
        except Exception as error:  # PySpark raises several kinds, the most frequent one a bare RuntimeError
            raise ConfigurationError(
                "engine spark",
                f"it does not start: {error}",
                "Spark needs a full Java 17 or newer; set JAVA_HOME to it.",
            ) from error


def engine_of(name: EngineName) -> Engine:
    """Return the engine of this name, with its defaults."""
    return DuckDbEngine() if name == "duckdb" else SparkEngine()
