"""Reconcile one day: pin a cut, recompute from the lake, compare, store the results."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from batch.progress import OnProgress, no_progress
from batch.reconcile.digests import compare_digests
from batch.reconcile.engines import DuckDbEngine, Engine
from batch.reconcile.file_tasks import plan_file_tasks
from batch.reconcile.finality import unread_partitions
from batch.reconcile.kept_rows import KeptRows
from batch.reconcile.lake_letters import collect_lake_letters
from batch.reconcile.recompute_files import RecomputeResult, recompute_files
from batch.reconcile.replays import ignored_replays
from batch.reconcile.report import DEFECTS, ReconcileReport, stored_report
from batch.reconcile.results import DayResults, read_results
from batch.reconcile.sql import INPUTS, KEY
from batch.reconcile.stored_scores import hours_of_versions, use_stored_scores
from moderation.adapters.code_version import code_version
from moderation.adapters.kafka.topics import ACTIONS, COMMENTS
from moderation.adapters.lake.manifest import files
from moderation.adapters.lake.ownership import require_ownership
from moderation.adapters.lake.reader import Lake
from moderation.adapters.lake.schema import columns_of
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.verification import check_file, reading_file
from moderation.adapters.reconciliation.frozen_days import (
    FrozenDay,
    dropped_append_days,
    freeze_day,
    frozen_day,
    late_for_frozen_days,
)
from moderation.adapters.reconciliation.ledger_digests import AGES_US, digests_query, export_ledger_rows
from moderation.adapters.reconciliation.runs import (
    Run,
    StoredRun,
    StoredScores,
    add_run,
    day_lock,
    days_beyond_horizon,
    dirty_days,
    frozen_days_with_new_records,
    stored_run,
)
from moderation.adapters.reconciliation.snapshot import Snapshot, take_snapshot
from moderation.adapters.sql.connection import Connection, connected
from moderation.bootstrap import production_model
from moderation.contracts import Cause
from moderation.settings import Settings, required
from moderation.text import KERNEL_VERSION
from moderation.timestamps import day_bounds_us, now_us

ReconcilePoint = Literal["after_snapshot", "after_rescoring", "after_comparison", "before_commit", "after_commit"]
Recompute = Callable[[Snapshot, Path], None]
_MOST_NAMED = 5
KEPT_FOLDER = "rescored"
"""Folder of recomputed records in the state folder."""
AGES_SCHEMA = pa.schema(
    [
        *((name, {"part": pa.int32(), "start_us": pa.int64()}.get(name, pa.string())) for name in KEY),
        *((f"age{number}", pa.int64()) for number in range(len(AGES_US))),
    ]
)
"""Columns of the engine's input ``stored_ages``."""


class _Clock:
    """Measures the duration of steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = now - self._last
        self._last = now


def reconcile_day(
    settings: Settings,
    day: date,
    *,
    engine: Engine | None = None,
    started_by: str = "moderation reconcile",
    on_progress: OnProgress = no_progress,
    fault_point: Callable[[ReconcilePoint], None] = lambda point: None,
    recompute: Recompute | None = None,
    full: bool = False,
) -> ReconcileReport:
    """Reconcile one day. Safe to repeat, to kill, and to run concurrently: the second run waits for the first.

    Args:
        settings: where the database, the lake and the registry are.
        day: UTC day of event time.
        engine: DuckDB if None.
        started_by: stored with the run.
        on_progress: receives one line at each step.
        fault_point: called at each named point; tests kill the process there.
        recompute: writes the recomputed records of a snapshot's day into a folder. If None, the records are parsed and
            scored with the versions that served.
        full: compare all rows, and score every record again; otherwise only rows of hours with different digests, and
            records that no earlier run has scored. Both give equal results.

    Raises:
        LakeDamaged: a file is missing or not what was written.
        LakeRefused: the lake belongs to another database.
        ModelRefused: the version in production does not verify, or a version explored with a key that is not set.
        Unavailable: a server does not answer.
        ConfigurationError: no version ever served.
    """
    engine = engine or DuckDbEngine()
    url = required(settings.database_url, "database_url")
    topic = settings.topic_prefix + COMMENTS.name
    begun_us = now_us()
    clock = _Clock()
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    with (
        connected(url, name="moderation reconcile") as connection,
        day_lock(connection, topic, day, on_progress),
        tempfile.TemporaryDirectory(prefix="reconcile-", dir=settings.state_folder) as scratch,
    ):
        folder = Path(scratch)
        last = stored_run(connection, topic, day)
        if last is not None and (frozen := _frozen(connection, topic, day, last)) is not None:
            on_progress(f"{day}: frozen, because {frozen.reason}; {frozen.late_after:,} comments came later")
            return stored_report(day, last, frozen)
        on_progress(f"{day}: pinning the cut")
        inputs = {name: folder / name for name in INPUTS}
        store = LakeStore(settings.lake_url)
        require_ownership(store, connection)
        query = None if full else digests_query
        kept = None if full else KeptRows(settings.state_folder / KEPT_FOLDER)
        with take_snapshot(url, topic, day_bounds_us(day), folder, store, query) as snapshot:
            clock.lap("snapshot")
            fault_point("after_snapshot")
            recomputed = RecomputeResult(0, [])
            if recompute is None:
                resolve = production_model(settings).resolve
                tasks = plan_file_tasks(snapshot, resolve, store)
                recomputed = recompute_files(
                    tasks, settings, inputs["recomputed"], on_progress, kept=kept, without_refused=True
                )
                if kept is not None:
                    kept.forget(settings.reconcile_horizon_days)
            else:
                recompute(snapshot, inputs["recomputed"])
            collect_lake_letters(inputs["recomputed"], inputs["lake_letters"])
            ignored = ignored_replays(inputs["recomputed"])
            if ignored:
                on_progress(f"{day}: {ignored.summary()}")
            stored: list[StoredScores] = []
            if recomputed.unopened:
                rows = inputs["ledger"] if full else folder / "rows_with_scores"
                hours = hours_of_versions(inputs["recomputed"], recomputed.unopened)
                if hours and not full:
                    rows.mkdir()
                    export_ledger_rows(url, snapshot, hours, rows)
                stored = _use_stored_scores(folder, inputs, rows, recomputed.unopened) if hours else []
            for each in stored:
                version = f"version {each.model_version}"
                on_progress(
                    f"{day}: {each.rows:,} records keep the scores of the ledger, because {version} {each.reason}"
                )
            clock.lap("rescoring")
            fault_point("after_rescoring")
            digests = None
            if full:
                inputs["compared"] = inputs["recomputed"]
                _write_no_ages(inputs["stored_ages"])
            else:
                inputs["copies"] = folder / "copies"
                digests = compare_digests(url, snapshot, inputs, folder, on_progress)
                on_progress(f"{day}: {digests.different:,} of {digests.hours:,} hours differ")
                clock.lap("digests")
            lake = Lake(store, connection, settings.topic_prefix)
            _write_actions(lake, settings, day, inputs["actions"])
            waits_for = unread_partitions(snapshot.cuts, snapshot.end_us)
            if waits_for:
                others = f", and {len(waits_for) - 1} more" if len(waits_for) > 1 else ""
                on_progress(f"{day}: provisional, because {waits_for[0]}{others}")
            results = read_results(
                engine.run(inputs, folder, on_progress),
                folder,
                is_read=not waits_for,
                stored_scores={each.model_version: each.rows for each in stored},
                failures=recomputed.failures,
            )
            clock.lap("comparison")
            fault_point("after_comparison")
            url_of_differences = _store_differences(lake.store, topic, day, results)
            on_progress(f"{day}: storing {results.panes:,} panes")
            run = _run_of(snapshot, day, results, engine.name, begun_us, url_of_differences, started_by)
            revision = add_run(
                connection,
                run,
                results.pane_rows(),
                results.difference_rows(),
                lambda: fault_point("before_commit"),
                stored,
            )
            clock.lap("keeping")
            fault_point("after_commit")
    return ReconcileReport(
        day=day,
        engine=engine.name,
        revision=revision,
        state=run.state,
        panes=run.panes,
        batch_comments=run.batch_comments,
        speed_comments=run.speed_comments,
        causes=dict(run.causes),
        defects={
            **{cause.value: run.causes[cause] for cause in DEFECTS},
            "residual": run.residual,
            "not_recomputed": run.not_recomputed,
        },
        not_recomputed=recomputed.failures,
        seconds=clock.seconds,
        ignored_replays=ignored.count,
        waits_for=waits_for,
        digests=digests,
        reused=recomputed.reused,
        stored_scores=stored,
    )


def days_to_reconcile(settings: Settings, upto: date, on_progress: OnProgress = no_progress) -> list[date]:
    """Return the days up to ``upto`` that need a reconciliation, newest first.

    They were not reconciled after their end, are provisional, or have new records that came within
    ``reconcile_horizon_days`` after their end. Days with later records are counted and named by ``on_progress`` only.
    """
    topic, horizon_days = settings.topic_prefix + COMMENTS.name, settings.reconcile_horizon_days
    with connected(required(settings.database_url, "database_url")) as connection:
        if late := days_beyond_horizon(connection, topic, upto, horizon_days):
            named = ", ".join(day.isoformat() for day in late[:_MOST_NAMED])
            on_progress(
                f"{len(late):,} days have comments that came more than {horizon_days} days after their end, newest "
                f"{named}. They are not reconciled again; `moderation reconcile --date` does it"
            )
        frozen = frozen_days_with_new_records(connection, topic, upto, horizon_days)
        for day, count in (after := late_for_frozen_days(connection, topic, frozen))[:_MOST_NAMED]:
            on_progress(f"{day} is frozen, and {count:,} comments of it came after its last run")
        if len(after) > _MOST_NAMED:
            on_progress(f"{len(after) - _MOST_NAMED:,} more frozen days have such comments; see serving.day_states")
        return dirty_days(connection, topic, upto, horizon_days)


def _write_no_ages(folder: Path) -> None:
    """Write an empty input ``stored_ages``: the ledger's rows have the times."""
    folder.mkdir(parents=True)
    pq.write_table(AGES_SCHEMA.empty_table(), folder / "none.parquet")


def _frozen(connection: Connection, topic: str, day: date, last: StoredRun) -> FrozenDay | None:
    """Return why a day is frozen; a final day of which a partition was dropped by hand is frozen here."""
    frozen = frozen_day(connection, topic, day)
    if frozen is None and last.state == "final" and (dropped := dropped_append_days(connection, topic, day)):
        days = ", ".join(each.isoformat() for each in dropped)
        freeze_day(
            connection, topic, day, f"decisions of append day {days} were dropped without `moderation retire`", now_us()
        )
        frozen = frozen_day(connection, topic, day)
    return frozen


def _use_stored_scores(
    folder: Path, inputs: dict[str, Path], ledger: Path, unopened: Mapping[str, str]
) -> list[StoredScores]:
    """Give records of versions that cannot be opened the ledger's scores; ``inputs`` then names the changed records."""
    recomputed = folder / "with_stored_scores"
    rows = use_stored_scores(recomputed, inputs["recomputed"], ledger, unopened)
    inputs["recomputed"] = recomputed
    return [StoredScores(version, count, unopened[version]) for version, count in rows.items()]


def _write_actions(lake: Lake, settings: Settings, day: date, folder: Path) -> None:
    """Write the actions that are about comments of the day: taken on the day or within the horizon after it."""
    _, end_us = day_bounds_us(day + timedelta(days=settings.reconcile_horizon_days))
    folder.mkdir(parents=True)
    columns = ["comment_id", "kind", "action_time_us"]
    empty = columns_of(ACTIONS.name).schema.empty_table().select(columns)
    names = ["comment_id", "action", "action_time_us"]
    pq.write_table(empty.rename_columns(names), folder / "none.parquet")
    for number, file in enumerate(files(lake.connection, topic=settings.topic_prefix + ACTIONS.name, since=day)):
        if (file.min_event_time_us or 0) < end_us:
            check_file(lake.store, file)
            with reading_file(lake.store, file) as opened:
                table = pq.read_table(opened, columns=columns)
            pq.write_table(table.rename_columns(names), folder / f"{number}.parquet")


def _store_differences(store: LakeStore, topic: str, day: date, results: DayResults) -> str:
    """Store all differences beside the lake, under a name that equal results share; returns the URL."""
    path = f"_reconciliation/{topic}/day={day.isoformat()}/differences-{results.digest[:16]}.parquet"
    temporary = f"_reconciliation/_temporary/{topic}-{day.isoformat()}-{results.digest[:16]}.parquet"
    with store.creating(temporary) as file, results.differences.open("rb") as differences:
        while chunk := differences.read(1 << 20):
            file.write(chunk)
    store.publish(temporary, path)
    return store.url_of(path)


def _run_of(
    snapshot: Snapshot,
    day: date,
    results: DayResults,
    engine: str,
    begun_us: int,
    differences_url: str,
    started_by: str,
) -> Run:
    return Run(
        topic=snapshot.topic,
        day=day,
        state=results.state,
        engine=engine,
        begun_us=begun_us,
        finished_us=now_us(),
        cut=snapshot.cut_fields(),
        digest=results.digest,
        panes=results.panes,
        batch_comments=results.batch_comments,
        speed_comments=results.speed_comments,
        causes=results.causes,
        lost=results.causes[Cause.LOST],
        unexplained=results.causes[Cause.UNEXPLAINED],
        phantom=results.causes[Cause.PHANTOM],
        residual=results.residual,
        agreement=results.agreement,
        kernel_version=KERNEL_VERSION,
        code_version=code_version(),
        differences_url=differences_url,
        started_by=started_by,
        other_defects=sum(results.causes[cause] for cause in DEFECTS[3:]),
        not_recomputed=results.not_recomputed,
    )
