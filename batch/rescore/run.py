"""Score the comments of an interval with another version; compare them with what was served."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from batch.progress import OnProgress, no_progress
from batch.reconcile.engines import opened_duckdb
from batch.reconcile.file_tasks import plan_file_tasks
from batch.reconcile.recompute_files import recompute_files
from batch.record_isolation import Failure
from batch.rescore.artifacts import Artifacts, store_artifacts
from batch.rescore.hours import (
    HourKey,
    HourPair,
    ServedHour,
    Sums,
    as_if_hours,
    pair_hours,
    require_hours,
    write_hours,
)
from batch.rescore.report import RescoreResult
from batch.rescore.verdicts import compare_verdicts
from batch.run_interval import Interval
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.lake.ownership import require_ownership
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.reconciliation.snapshot import take_snapshot
from moderation.adapters.registry.certificate import Certificate
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.windows import windows_between
from moderation.bootstrap import registry
from moderation.errors import ModelRefused
from moderation.settings import Settings, required


@dataclass(frozen=True, slots=True)
class RescoreReport:
    """The result, and the addresses of its files."""

    result: RescoreResult
    artifacts: Artifacts

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation rescore``."""
        return {**self.result.fields(), "artifacts": self.artifacts.fields(), "skipped": self.result.skipped}


def certified_version(settings: Settings, version: str) -> Certificate:
    """Return the verified certificate of a version; opening the version verifies its files.

    Args:
        settings: where the registry is.
        version: its number, or an alias.

    Raises:
        ModelRefused: there is no such version, no version has the alias, or it has no certificate.
        RegistryUnavailable: the registry does not answer.
        ConfigurationError: the certificate key is not set, or MLflow does not accept the name.
    """
    model_registry = registry(settings)
    if version.isdecimal():
        return model_registry.certificate(version)
    resolved = model_registry.resolve(version)
    if resolved is None:
        raise ModelRefused(
            f"alias {version} of {settings.model_name}",
            "no version has it",
            "Set the alias on a certified version, or name a version by its number.",
        )
    return model_registry.certificate(resolved.version)


def rescore_comments(
    settings: Settings, interval: Interval, version: str, *, as_if: bool = False, on_progress: OnProgress = no_progress
) -> RescoreReport:
    """Score the comments of an interval with a version; compare them with what was served. Safe to repeat and to kill.

    Only files beside the lake are written: no topic, no table, no alias.

    Args:
        settings: where the database, the lake and the registry are.
        interval: of event time.
        version: number of a certified version, or an alias.
        as_if: also compute the hours as the batch would have them if the version had served all the time.
        on_progress: receives one line at each step.

    Raises:
        ModelRefused: the version does not exist, is not certified, or does not verify.
        RegistryUnavailable: the registry does not answer.
        LakeDamaged: a file that is needed is gone or not what was written.
        LakeRefused: the lake belongs to another database.
        Unavailable: a server does not answer.
        ConfigurationError: hours are requested for an interval that is not whole hours.
        LedgerUnsafe: the database does not have the ledger's tables as they are today.
    """
    if as_if:
        require_hours(interval)
    url, store = required(settings.database_url, "database_url"), LakeStore(settings.lake_url)
    with connected(url, name="moderation rescore") as connection:
        require_ownership(store, connection)
    certificate = certified_version(settings, version)
    on_progress(f"{version} is version {certificate.version} of {certificate.model_name}")
    topic = settings.topic_prefix + COMMENTS.name
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rescore-", dir=settings.state_folder) as scratch:
        folder = Path(scratch)
        on_progress("pinning the cut")
        with take_snapshot(url, topic, (interval.start_us, interval.end_us), folder, store) as snapshot:
            tasks = plan_file_tasks(snapshot, lambda: None, store, version=certificate.version)
            failures = recompute_files(tasks, settings, folder / "recomputed", on_progress).failures
        on_progress("comparing verdicts")
        tables = {"verdicts": folder / "verdicts.parquet"}
        hours: list[HourPair] | None = None
        with opened_duckdb(folder) as duck:
            _create_views(duck, folder, failures)
            diff = compare_verdicts(duck, tables["verdicts"])
            if as_if:
                on_progress("comparing hours")
                hours = pair_hours(as_if_hours(duck), _served_hours(url, topic, interval))
                tables["hours"] = folder / "hours.parquet"
                write_hours(hours, tables["hours"])
        result = RescoreResult(topic, interval, certificate, diff, hours, failures)
        on_progress("storing the results")
        return RescoreReport(result, store_artifacts(store, result, tables))


def _create_views(duck: duckdb.DuckDBPyConnection, folder: Path, failures: Sequence[Failure]) -> None:
    """Create views ``recomputed`` and ``ledger`` of the records that can be compared."""
    duck.execute("CREATE TABLE failures (topic_id VARCHAR, part INTEGER, pos BIGINT)")
    if failures:
        positions = [(each.topic_id, each.partition, each.offset) for each in failures]
        duck.executemany("INSERT INTO failures VALUES (?, ?, ?)", positions)
    for name, chosen in (("recomputed", "NOT is_quarantined"), ("ledger", "TRUE")):
        duck.read_parquet(f"{folder / name}/*.parquet", hive_partitioning=False).create_view(f"all_{name}")
        duck.execute(
            f"CREATE VIEW {name} AS SELECT a.* FROM all_{name} a "
            f"ANTI JOIN failures f ON f.topic_id = a.topic_id AND f.part = a.part AND f.pos = a.pos WHERE {chosen}"
        )


def _served_hours(url: str, topic: str, interval: Interval) -> dict[HourKey, ServedHour]:
    names = ("comments", "reviews", "removals", "score_sum", "late")
    return {
        (row["topic_id"], row["community"], row["start_us"]): ServedHour(
            Sums(*(row[name] for name in names)), row["state"], row["revision"]
        )
        for row in windows_between(url, topic, interval.start_us, interval.end_us)
    }
