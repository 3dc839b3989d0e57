"""docker/demo.py (`make compose-demo`): its commands exist, it refuses a system with data, and its summary is right."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest

from moderation.settings import Settings
from stream.source.cli import plan_of
from tests.conftest import ROOT
from tests.deploy.chart_and_code import require_command
from tests.deploy.files import Files

PROGRAM = ROOT / "docker" / "demo.py"
CAUSES = {"late": 3, "duplicate": 2, "lost": 0}
DAY = {
    "skipped": None,
    "state": "final",
    "batch_comments": 105,
    "speed_comments": 104,
    "causes": CAUSES,
    "defects": {"lost": 0, "residual": 0},
}
REPORTS: dict[str, dict[str, Any]] = {
    "train": {"registered": {"version": "1"}},
    "archive": {"topics": [{"topic": "comments", "partitions": [{"partition": 0, "next_offset": 100}]}]},
    "reconcile": {"days": [DAY, {**DAY, "skipped": "nothing to reconcile"}]},
    "retrain": {"version": "2", "gate": {"is_passed": True, "reasons": [], "figures": {"auc": 0.9}}},
    "promote": {"version": "2"},
}


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compose_demo", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorded:
    """Notes the commands of the demonstration and returns prepared reports."""

    def __init__(self, module: ModuleType, *, offsets: int = 0, reports: dict[str, dict[str, Any]] = REPORTS) -> None:
        self.commands: list[tuple[str, list[str]]] = []
        self._offsets = offsets
        self._reports = reports
        compose = module.Compose(["docker", "compose"])
        compose.run, compose.rows = self._run, self._rows
        self.compose = compose

    def _run(self, *arguments: str, accepted: Sequence[int] = (0,)) -> str:
        if arguments[0] != "run":
            return ""
        service, *words = [word for word in arguments[1:] if word not in ("--rm", "--no-deps", "-T")]
        self.commands.append((service, words))
        return json.dumps(self._reports.get(words[0], {}))

    def _rows(self, statement: str) -> list[list[str]]:
        if "SELECT partition, next" in statement:
            return [["0", "100"]]
        if "GROUP BY 1 ORDER BY 1" in statement:
            return [["1", "90"], ["2", "10"]]
        return [["0"]] if "panes AS" in statement else [[str(self._offsets)]]


def test_every_command_of_the_demonstration_exists(demo: ModuleType) -> None:
    recorded = Recorded(demo)
    demo.demonstrate(recorded.compose, (), lambda line: None)
    names = [words[0] for service, words in recorded.commands if service == "moderation"]
    assert names == ["generate", "train", "archive", "reconcile", "retrain", "promote", "archive", "reconcile"]
    sent = [words for service, words in recorded.commands if service == "source"]
    plans = [plan_of(words, Settings()) for words in sent]
    assert len({plan.state for plan in plans}) == len(plans) == 2
    services = Files().services
    for service, words in recorded.commands:
        if service == "moderation":
            require_command([*services[service]["entrypoint"], *words])
        else:
            assert services[service]["entrypoint"] == ["python", "-P", "-m", "stream", "source"]


def test_a_system_with_data_is_refused_before_anything_is_sent(demo: ModuleType) -> None:
    recorded = Recorded(demo, offsets=7)
    with pytest.raises(demo.Stopped, match="this system has data"):
        demo.demonstrate(recorded.compose, (), lambda line: None)
    assert recorded.commands == []


def test_a_version_that_the_gate_stops_is_not_promoted(demo: ModuleType) -> None:
    reports = deepcopy(REPORTS)
    reports["retrain"]["gate"] |= {"is_passed": False, "reasons": ["more reviews"]}
    recorded = Recorded(demo, reports=reports)
    summary = demo.demonstrate(recorded.compose, (), lambda line: None)
    assert not any(words[0] == "promote" for _, words in recorded.commands)
    assert "not promoted                            more reviews" in demo.lines_of(summary)


def test_the_summary_adds_up_days_and_names_defects(demo: ModuleType) -> None:
    summary = demo.demonstrate(Recorded(demo).compose, (), lambda line: None)
    assert summary["reconciled"] == {
        "days": 2,
        "final": 2,
        "batch_comments": 210,
        "speed_comments": 208,
        "causes": {"late": 6, "duplicate": 4, "lost": 0},
        "defects": {"lost": 0, "residual": 0},
    }
    assert demo.is_sound(summary)
    text = "\n".join(demo.lines_of(summary))
    assert "4 duplicate, 6 late" in text
    assert "90 by version 1, 10 by version 2" in text
    for damaged in (
        {**summary, "partitions_that_differ": 1},
        {**summary, "reconciled": {**summary["reconciled"], "days": 0}},
        {**summary, "reconciled": {**summary["reconciled"], "defects": {"lost": 1}}},
    ):
        assert not demo.is_sound(damaged)


def test_a_failed_step_ends_with_its_command_and_code_1() -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, "--compose", f"{sys.executable} -c raise(SystemExit(9))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the demonstration stopped: `docker compose up --detach` ended with 9" in done.stderr
