"""The demonstration: the loop of retraining and promotion closes, by itself and by hand in the browser."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Page

from cli.options import connected_settings
from local.demo.airflow_runs import AirflowRuns
from local.demo.model_loop import PROMOTE, RETRAIN, LoopReport, loop_report
from local.stack.airflow import admin_password
from local.stack.commands import info
from local.stack.layout import StackLayout
from local.stack.wait import wait_until
from moderation.bootstrap import registry
from tests.long.conftest import moderation
from tests.long.test_airflow_in_a_browser import People, decides_with, mlflow_login, newest_run

# Of its parts, test_airflow and test_retrain have short forms.
pytestmark = [pytest.mark.proof, pytest.mark.alone, pytest.mark.timeout(2_700)]
_DEMO_SECONDS = 1_200
_RUN_SECONDS = 900


@contextmanager
def demonstrated(folder: Path, *options: str) -> Iterator[tuple[dict[str, Any], AirflowRuns]]:
    """Run the demonstration; yield its figures and the runs of its Airflow, and delete its stack afterwards."""
    command = [sys.executable, "-P", "-m", "cli.main", "demo", "--json", "--data-folder", str(folder), *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DEMO_SECONDS, check=False)
        assert done.returncode == 0, done.stderr[-2_000:]
        layout = StackLayout(folder)
        yield json.loads(done.stdout), AirflowRuns(layout, info(layout))
    finally:
        moderation(folder, "down", "--purge", "--yes")


def retrained_again(runs: AirflowRuns) -> LoopReport | None:
    """Retrain with the untouched form; return what the gate said, None if nothing was trained."""
    run_id = runs.run(RETRAIN, {}, _RUN_SECONDS)
    if runs.api.states(RETRAIN, run_id)["retrain"] == "skipped":
        return None
    return loop_report(runs.returned(RETRAIN, run_id, "gate"))


def is_asked(runs: AirflowRuns) -> bool:
    """Whether a run of the promotion waits for an approver."""
    return any(runs.api.is_asking(PROMOTE, run, "approve") for run in runs.api.unfinished(PROMOTE))


@pytest.mark.budget(900)
def test_the_demo_promotes_its_challenger_and_a_second_retraining_ends_well(tmp_path: Path) -> None:
    with demonstrated(tmp_path / "demo") as (figures, runs):
        loop = figures["loop"]
        assert (loop["state"], loop["production"]) == ("served", "1"), loop
        assert int(loop["version"]) >= 2, "the nightly retraining may have made version 2"
        assert loop["decided"] > 0
        assert loop["served_from"]
        assert loop["auc"] > 0.8
        if (again := retrained_again(runs)) is not None:  # skipped if no label is newer than the new version's
            assert again.production == loop["version"]
            assert int(again.version) > int(loop["version"])
            assert again.is_passed or again.reasons, "too few new comments is fine, if it is stated"


@pytest.mark.budget(900)
def test_the_loop_closes_by_hand_in_the_browser(page: Page, tmp_path: Path) -> None:
    with demonstrated(tmp_path / "demo", "--by-hand") as (figures, runs):
        assert figures["loop"]["state"] == "by hand"
        settings, layout = connected_settings(tmp_path / "demo"), StackLayout(tmp_path / "demo")
        people = People(page, runs.url, settings.mlflow_url, mlflow_login(layout), lambda name: None)
        password = admin_password(layout)
        assert password
        people.log_in(password)

        people.trigger(RETRAIN)
        people.sees("gate", "Success")
        version = str(runs.returned(RETRAIN, unquote(newest_run(page)), "gate")["version"])
        people.sees_alias(version, "challenger")
        # The gate starts the promotion. Airflow's page of required actions does not show those that come later.
        wait_until(lambda: is_asked(runs), seconds=300, description="the question of the promotion")
        people.approve()
        page.goto(f"{runs.url}/dags/{PROMOTE}/runs/{newest_run(page)}")
        people.sees("promote", "Success")
        people.sees_alias(version, "production")
        decides_with(settings, version)
        production = registry(settings).resolve("production")
        assert production is not None
        assert production.version == version
