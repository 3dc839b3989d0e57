"""Every DAG file keeps the rules, and every breach of a rule is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moderation.errors import BadRecord, NeedsPerson
from tests.conftest import ROOT
from tests.dags.parsed import Parsed, errors, parse
from tests.dags.policy import breaches

DAGS = ROOT / "dags"
SDK = "from airflow.sdk import"
A_DAY = "__import__('datetime').datetime(2026, 1, 1)"
REACHES_OUT = "import socket; socket.create_connection(('127.0.0.1', 9))"
GOOD = (DAGS / "archive_topics.py").read_text()

END = "time_limit=timedelta(minutes=40),\n    ),"
OPTIONS = "**DAG_OPTIONS"


def without(name: str, value: object = None) -> tuple[str, str]:
    """Replace one of the shared ``default_args``."""
    return END, f"{END[:-1]} | {{'{name}': {value!r}}},"


# For each breach: the text that is replaced, its replacement, and the message of the breach.
BROKEN = {
    "no_owner": (*without("owner", ""), "archive_actions: no owner"),
    "no_retries": ("retries=3,", "retries=0,", "archive_actions: no retries"),
    "no_backoff": (*without("retry_exponential_backoff", 0), "archive_actions: retries without growing"),
    "short_retries": ("seconds=30", "seconds=1", "archive_actions: all retries are within 120 s"),
    "no_bound": (*without("max_retry_delay"), "archive_actions: retries without growing"),
    "no_task_limit": (*without("execution_timeout"), "archive_actions: no execution_timeout"),
    "long_task": ("timedelta(minutes=40)", "timedelta(minutes=50)", "execution_timeout is not below dagrun_timeout"),
    "no_run_limit": ("dagrun_timeout=timedelta(minutes=50),", "", "no dagrun_timeout"),
    "many_runs": (OPTIONS, f'{OPTIONS} | {{"max_active_runs": 16}}', "more than one run at a time"),
    "catches_up": (OPTIONS, f'start_date={A_DAY}, {OPTIONS} | {{"catchup": True}}', "catches up"),
    "partitioned": (
        'CronTriggerTimetable("5 * * * *", timezone="UTC")',
        '__import__("airflow.sdk").sdk.CronPartitionTimetable("5 * * * *", timezone="UTC")',
        "runs have partition keys, so moderation-lake-actions, moderation-lake-comments would start nothing",
    ),
    "no_tags": ('tags=["batch", "lake"],', "", "no tags"),
    "no_doc": ("doc_md=__doc__,", "", "doc_md is not the docstring"),
    "no_section": ("## Re-run", "Re-run", "the docstring is no manual"),
    "long_file": ("TOPICS =", "\n" * 10 + "TOPICS =", "more than 80 lines"),
    "deep_import": (SDK, f"from airflow.models import Variable\n{SDK}", "imports airflow.models instead of"),
    "heavy_import": (SDK, f"import numpy\n{SDK}", "parsing imports numpy"),
    "early_import": (SDK, f"import batch.run_interval\n{SDK}", "imports batch.run_interval outside a task"),
    "upward_import": (
        "    return or_skip",
        "    import local\n    return or_skip",
        "imports local, which is not below dags",
    ),
    "unreadable": ("TOPICS =", "TOPICS ==", "cannot be imported"),
    "reaches_out": ("TOPICS =", f"{REACHES_OUT}\nTOPICS =", "parsing reaches out to ('127.0.0.1', 9)"),
}


@pytest.fixture(scope="module")
def found_in_broken(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the breaches of a folder of files with one breach each."""
    folder = tmp_path_factory.mktemp("broken")
    for path in DAGS.glob("_*.py"):
        shutil.copy(path, folder)
    for name, (old, new, _) in BROKEN.items():
        text = GOOD.replace("def archive_topics(", f"def {name}(").replace("\narchive_topics()", f"\n{name}()")
        assert old in text, name
        (folder / f"{name}.py").write_text(text.replace(old, new))
    return breaches(folder, parse(folder, tmp_path_factory.mktemp("airflow")))


def test_every_task_fails_at_once_on_errors_of_two_bases_and_retries_all_others(parsed: Parsed) -> None:
    expected = sorted(error.__name__ for error in errors() if issubclass(error, NeedsPerson | BadRecord))
    assert {"ConfigurationError", "LakeDamaged", "DefectsFound"} <= set(expected)
    retried = {error.__name__ for error in errors()} - set(expected)
    assert {"DatabaseUnavailable", "BrokerUnavailable", "StoreUnavailable", "TableLocked", "FenceLost"} <= retried
    assert {
        (dag["dag_id"], task["task_id"])
        for dag in parsed.dags
        for task in dag["tasks"]
        if task["fails_at_once"] != expected
    } == set()


def test_every_dag_file_keeps_every_rule(parsed: Parsed) -> None:
    assert parsed.dags
    assert breaches(DAGS, parsed) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_found(name: str, found_in_broken: list[str]) -> None:
    of_file = [text for text in found_in_broken if text.startswith((f"{name}.py:", "broken"))]
    assert any(BROKEN[name][2] in text for text in of_file), of_file


def test_a_folder_that_is_a_package_is_found(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    assert "__init__.py: the folder is no package" in breaches(tmp_path, Parsed({}, [], {}, []))
