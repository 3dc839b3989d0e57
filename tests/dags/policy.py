"""The rules of DAG files, each with the message of a breach."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.dags.parsed import Parsed

MOST_LINES = 80
LEAST_WAIT_SECONDS = 120
"""Twice the time for which a server may be away during a run."""
SECTIONS = ["## What", "## When", "## Inputs", "## Outputs", "## Re-run", "## Triage"]
_NEVER = {"cli", "local", "stream", "tests"}
_SHARED = {"_approval", "_defaults", "_notifications"}
"""Modules of the folder that define no DAG."""
_OF_TRIGGERS = {"confluent_kafka"}
"""Modules that the provider imports for a DAG that waits for messages."""


def breaches(folder: Path, parsed: Parsed) -> list[str]:
    """Return every breach of a rule as ``file: message``; empty if there is none."""
    found = [f"{name}: cannot be imported: {error}" for name, error in parsed.import_errors.items()]
    for name, modules in parsed.loaded.items():
        watches = "MessageQueueTrigger" in (folder / name).read_text()
        found += [f"{name}: parsing imports {module}" for module in modules if not (watches and module in _OF_TRIGGERS)]
    found += [f"{folder.name}: parsing reaches out to {address}" for address in parsed.connections]
    if (folder / "__init__.py").exists():
        found.append("__init__.py: the folder is no package")
    for path in sorted(folder.glob("[!_]*.py")):
        dags = [dag for dag in parsed.dags if dag["file"] == path.name]
        found += [f"{path.name}: {text}" for text in (*_of_file(path, dags), *_of_dags(dags))]
    return found


def _of_file(path: Path, dags: list[dict[str, Any]]) -> Iterator[str]:
    text = path.read_text()
    if len(text.splitlines()) > MOST_LINES:
        yield f"more than {MOST_LINES} lines"
    tree = ast.parse(text)
    manual = ast.get_docstring(tree, clean=False) or ""
    if [line for line in manual.splitlines() if line.startswith("#")] != SECTIONS:
        yield f"the docstring is no manual of {', '.join(SECTIONS)}"
    if [dag["dag_id"] for dag in dags] != [path.stem]:
        yield "not one DAG of the file's name"
    if any(dag["doc_md"] != manual for dag in dags):
        yield "doc_md is not the docstring"
    top_level = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        for module in _imported(node):
            yield from _of_import(module, at_top=id(node) in top_level)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [str(node.module)] if isinstance(node, ast.ImportFrom) else []


def _of_import(module: str, *, at_top: bool) -> Iterator[str]:
    root = module.partition(".")[0]
    if root in _NEVER:
        yield f"imports {root}, which is not below dags"
    elif root == "airflow" and module != "airflow.sdk" and not module.startswith("airflow.providers."):
        yield f"imports {module} instead of airflow.sdk"
    elif at_top and root not in {"airflow", *_SHARED, *sys.stdlib_module_names} and not _is_params(module):
        yield f"imports {module} outside a task"


def _is_params(module: str) -> bool:
    """Whether it is data only: the default parameters of a DAG."""
    return module.startswith("batch.") and module.endswith(".params")


def _of_dags(dags: list[dict[str, Any]]) -> Iterator[str]:
    for dag in dags:
        if not dag["tags"]:
            yield "no tags"
        if dag["catchup"]:
            yield "catches up"
        if dag["max_active_runs"] != 1:
            yield "more than one run at a time"
        if dag["run_seconds"] is None:
            yield "no dagrun_timeout"
        if dag["is_partitioned"] and (outlets := sorted(name for task in dag["tasks"] for name in task["outlets"])):
            # Airflow does not send asset events of a run with a partition key to DAGs that are not partitioned.
            yield f"runs have partition keys, so {', '.join(outlets)} would start nothing"
        for task in dag["tasks"]:
            yield from (f"{task['task_id']}: {text}" for text in _of_task(task, dag["run_seconds"]))


def _delays(task: dict[str, Any]) -> Iterator[float]:
    """Yield the shortest delay before each retry; Airflow adds up to as much again."""
    for number in range(task["retries"]):
        yield min(task["delay_seconds"] * task["backoff"] ** number, task["longest_delay_seconds"])


def _of_task(task: dict[str, Any], run_seconds: float | None) -> Iterator[str]:
    if task["owner"] in ("", "airflow"):
        yield "no owner"
    if task["retries"] < 1:
        yield "no retries"
    if task["backoff"] <= 1 or task["longest_delay_seconds"] is None:
        yield "retries without growing, bounded delays"
    elif task["retries"] and sum(_delays(task)) < LEAST_WAIT_SECONDS:
        yield f"all retries are within {LEAST_WAIT_SECONDS} s, and a server may be away for a minute"
    if task["seconds"] is None:
        yield "no execution_timeout"
    elif run_seconds is not None and task["seconds"] >= run_seconds:
        yield "execution_timeout is not below dagrun_timeout"
