"""Values that the tasks of ``retrain_model`` pass from the start of the run to training and gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from batch.retrain import tasks
from batch.retrain.options import RetrainOptions
from batch.retrain.params import PARAMS
from batch.retrain.run import RetrainReport
from moderation.timestamps import DAY_US

NIGHT = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)
DEFAULTS = {name: field["default"] for name, field in PARAMS.items()}
REPORT = RetrainReport("4", "run", "m", "d", "l", 0, 2, 1, {"examples": 3}, {"auc_mean": 0.9})
Retrain = Callable[[Sequence[Mapping[str, Any]]], tuple[RetrainOptions, dict[str, Any]]]


@pytest.fixture
def retrain(monkeypatch: pytest.MonkeyPatch) -> Retrain:
    """Runs the step for the extras of asset events; what the training was asked for, and what the step returned."""
    asked: list[RetrainOptions] = []

    def train(_: object, options: RetrainOptions, **__: object) -> RetrainReport:
        asked.append(options)
        return REPORT

    monkeypatch.setattr(tasks, "archive_topics", lambda settings, on_progress: None)
    monkeypatch.setattr(tasks, "retrain_on", train)

    def run(extras: Sequence[Mapping[str, Any]]) -> tuple[RetrainOptions, dict[str, Any]]:
        returned = tasks.retrain(DEFAULTS, NIGHT, extras, "a test")
        return asked[-1], returned

    return run


def test_a_message_does_not_change_the_margin_of_the_gate_and_the_log_names_it(
    retrain: Retrain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert retrain([])[1] == {**REPORT.fields(), "auc_margin": DEFAULTS["auc_margin"]}
    assert retrain([{"payload": {"auc_margin": 1.0}}])[1] == {**REPORT.fields(), "auc_margin": DEFAULTS["auc_margin"]}
    assert "ignored: a message states 'auc_margin'" in capsys.readouterr().out


def test_only_the_reason_of_a_drift_event_becomes_an_option(retrain: Retrain) -> None:
    asked, _ = retrain([{"reason": "drift on 2026-11-22: unseen", "evidence": "http://mlflow/7"}])
    assert asked.reason == "drift on 2026-11-22: unseen"
    without, _ = retrain([{}])
    assert without.reason == "no reason was stated"


def test_a_message_beside_drift_states_the_interval_and_the_last_reason_counts(retrain: Retrain) -> None:
    drift: Mapping[str, Any] = {"reason": "drift"}
    message: Mapping[str, Any] = {"payload": {"days": 3, "reason": "slurs of the week"}}
    for extras, reason in (([drift, message], "slurs of the week"), ([message, drift], "drift")):
        asked, _ = retrain(extras)
        assert (asked.interval.end_us - asked.interval.start_us, asked.reason) == (3 * DAY_US, reason)


def test_a_weakened_message_beside_drift_leaves_the_retraining_that_drift_requests(retrain: Retrain) -> None:
    asked, _ = retrain([{"reason": "drift"}, {"payload": {"auc_margin": 1.0, "days": "all"}}])
    assert asked.reason == "drift"
    assert len(asked.ignored) == 2
