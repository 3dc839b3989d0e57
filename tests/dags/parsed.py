"""Parse a folder of DAG files as Airflow does, in a process of its own, and return facts about them.

Run as a program it prints one JSON object; :func:`parse` starts it and reads that.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

HEAVY = ("confluent_kafka", "duckdb", "faust", "mlflow", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "spacy")
_SECONDS = 120
BACKFILL = ("2026-11-23", "2026-11-26")
"""First day and end of a backfill, as ``--from-date`` and ``--to-date``."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What Airflow found.

    Attributes:
        import_errors: the last line of each error, by file name.
        dags: facts of each DAG and of its tasks.
        loaded: heavy packages that parsing imported, by file name.
        connections: addresses that parsing tried to reach.
    """

    import_errors: dict[str, str]
    dags: list[dict[str, Any]]
    loaded: dict[str, list[str]]
    connections: list[str]


def parse(folder: Path, home: Path) -> Parsed:
    """Parse ``folder``; ``home`` becomes AIRFLOW_HOME, so that nothing of this machine's own Airflow is read."""
    done = subprocess.run(
        [sys.executable, "-P", __file__, str(folder)],
        env={"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return Parsed(**json.loads(done.stdout.splitlines()[-1]))


def main(folder: str) -> None:
    import socket

    from airflow.dag_processing.dagbag import BundleDagBag

    connections: list[str] = []

    def refuse(_: socket.socket, address: object) -> None:
        connections.append(str(address))
        raise ConnectionRefusedError("a DAG file must not reach out when it is parsed")

    socket.socket.connect = refuse  # type: ignore[assignment,method-assign]
    errors: dict[str, str] = {}
    dags: list[dict[str, Any]] = []
    loaded: dict[str, list[str]] = {}
    for path in sorted(Path(folder).glob("[!_]*.py")):
        before = set(sys.modules)
        bag = BundleDagBag(path, bundle_path=Path(folder))
        loaded[path.name] = sorted(set(HEAVY) & (set(sys.modules) - before))
        for error in bag.import_errors.values():
            errors[path.name] = error.strip().splitlines()[-1]
        dags += [{"file": path.name, **facts(dag)} for dag in bag.dags.values()]
    sys.stdout.write("\n" + json.dumps(vars_of(Parsed(errors, dags, loaded, connections))) + "\n")


def facts(dag: Any) -> dict[str, Any]:
    condition = getattr(dag.timetable, "asset_condition", None)
    return {
        "dag_id": dag.dag_id,
        "doc_md": dag.doc_md,
        "tags": sorted(dag.tags),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "run_seconds": seconds(dag.dagrun_timeout),
        "is_partitioned": "Partition" in type(dag.timetable).__name__,
        "params": dag.params.dump(),
        "backfill": backfill(dag),
        "announces": announced(dag.on_failure_callback),
        "assets": sorted(asset.name for asset in getattr(condition, "objects", [])),
        "tasks": [
            {
                "task_id": task.task_id,
                "owner": task.owner,
                "retries": task.retries,
                "backoff": float(task.retry_exponential_backoff),
                "delay_seconds": seconds(task.retry_delay),
                "longest_delay_seconds": seconds(task.max_retry_delay),
                "seconds": seconds(task.execution_timeout),
                "outlets": [asset.name for asset in task.outlets],
                "fails_at_once": sorted(
                    error.__name__
                    for error in errors()
                    if task.retry_policy
                    and task.retry_policy.evaluate(error.__new__(error), 1, task.retries).action.value == "fail"
                ),
                "unanswered": getattr(task, "defaults", None),
                "answer_seconds": seconds(getattr(task, "response_timeout", None)),
                "announces": {
                    "failed": announced(task.on_failure_callback),
                    "done": announced(task.on_success_callback),
                    "waits": announced(getattr(task, "notifiers", [])),
                },
            }
            for task in dag.tasks
        ],
    }


def backfill(dag: Any) -> list[list[str | None]] | None:
    """Return the runs of a backfill of three days: run_after, logical date and partition key; None if it is refused."""
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    if not stored.timetable.periodic or (dag.allowed_run_types and "backfill" not in dag.allowed_run_types):
        return None
    infos = stored.iter_dagrun_infos_between(*(datetime.fromisoformat(f"{day}T00:00:00Z") for day in BACKFILL))
    return [
        [info.run_after.isoformat(), info.logical_date.isoformat() if info.logical_date else None, info.partition_key]
        for info in infos
    ]


def announced(callbacks: Any) -> list[str]:
    """Return the events of notifications."""
    return [callback.event for callback in callbacks or [] if hasattr(callback, "event")]


def errors() -> list[type[Exception]]:
    """Return every error class of the project; the tree is one module."""
    import moderation.errors

    return [each for each in vars(moderation.errors).values() if isinstance(each, type)]


def seconds(length: Any) -> float | None:
    return None if length is None else float(length.total_seconds())


def vars_of(parsed: Parsed) -> dict[str, Any]:
    return {name: getattr(parsed, name) for name in Parsed.__slots__}


if __name__ == "__main__":
    main(sys.argv[1])
