"""Values that the tasks of ``retrain_model`` pass from the start of the run to training and gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from batch.nothing_done import NothingDone
from batch.retrain import tasks
from batch.retrain.options import RetrainOptions
from batch.retrain.params import PARAMS
from batch.retrain.run import RetrainReport
from batch.run_interval import RunDates
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

    monkeypatch.setattr(tasks, "archive_and_log", lambda *given: None)
    monkeypatch.setattr(tasks, "nothing_to_train", lambda settings, options, is_asked: None)
    monkeypatch.setattr(tasks, "retrain_on", train)

    def run(extras: Sequence[Mapping[str, Any]]) -> tuple[RetrainOptions, dict[str, Any]]:
        returned = tasks.retrain(DEFAULTS, RunDates("scheduled", NIGHT), extras, "a test")
        return asked[-1], returned

    return run


def test_a_message_does_not_change_the_margin_of_the_gate_and_the_log_names_it(
    retrain: Retrain, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {**REPORT.fields(), "skipped": None, "reason": "no reason was stated"}
    assert retrain([])[1] == {**fields, "auc_margin": DEFAULTS["auc_margin"]}
    assert retrain([{"payload": {"auc_margin": 1.0}}])[1] == {**fields, "auc_margin": DEFAULTS["auc_margin"]}
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


def test_a_person_asks_by_a_form_or_a_message_with_another_value_than_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []

    def nothing(settings: object, options: object, *, is_asked: bool) -> NothingDone:
        asked.append(is_asked)
        return NothingDone("no new comment")

    monkeypatch.setattr(tasks, "archive_and_log", lambda *given: None)
    monkeypatch.setattr(tasks, "nothing_to_train", nothing)
    night = RunDates("scheduled", NIGHT)
    for params, extras in (
        ({**DEFAULTS, "reason": "a try"}, []),
        (DEFAULTS, [{"reason": "drift", "evidence": "http://mlflow/7"}]),
        ({**DEFAULTS, "seed": 3}, []),
        (DEFAULTS, [{"payload": {"days": 3}}]),
    ):
        assert tasks.retrain(params, night, extras, "a test") == {"skipped": "no new comment"}
    assert asked == [False, False, True, True]


def test_a_logical_date_in_the_past_ends_the_interval_where_labels_were_mature_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: list[int] = []

    def train(_: object, options: RetrainOptions, **__: object) -> RetrainReport:
        ends.append(options.interval.end_us)
        return REPORT

    monkeypatch.setattr(tasks, "archive_and_log", lambda *given: None)
    monkeypatch.setattr(tasks, "nothing_to_train", lambda settings, options, is_asked: None)
    monkeypatch.setattr(tasks, "retrain_on", train)
    later = datetime(2026, 11, 29, 9, tzinfo=UTC)
    for run in (RunDates("scheduled", NIGHT, NIGHT), RunDates("manual", later, NIGHT), RunDates("manual", later)):
        tasks.retrain(DEFAULTS, run, [], "a test")
    assert ends[0] == ends[1] < ends[2]


def test_the_archive_step_uses_the_given_kafka_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[object] = []
    monkeypatch.setattr(tasks, "archive_and_log", lambda settings, topics, kafka, on_progress: used.append(kafka))
    monkeypatch.setattr(tasks, "nothing_to_train", lambda settings, options, is_asked: NothingDone("nothing"))
    connection = {"bootstrap.servers": "kafka:9092"}
    tasks.retrain(DEFAULTS, RunDates("scheduled", NIGHT), [], "a test", connection)
    assert used == [connection]
