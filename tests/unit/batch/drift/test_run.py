"""The drift check as a pure function: findings, false alarms, requests."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from batch.drift.artifacts import drift_table, evidence_files
from batch.drift.measures import INDICES, Measures, compare_with_reference
from batch.drift.report import DriftReport
from batch.drift.run import cooling_down, label_rules, newest_mature_day
from batch.drift.tasks import day_of_run
from batch.run_interval import RunDates
from moderation.datasets.synthetic import TrafficConfig
from moderation.errors import ConfigurationError
from moderation.training.drift import DriftResult, drift_of_counts, reference_of
from moderation.training.reference import TrainingReference
from tests.support.drift_scenario import days_of, drifted, watched

MEASURES = ["score", "length", "unseen", "communities", "labels", "agreement"]


@pytest.fixture(scope="module")
def reference() -> TrainingReference:
    dice = np.random.default_rng(1)
    return TrainingReference(
        comments=10_000,
        score=reference_of(dice.beta(0.7, 3, 10_000)),
        length=reference_of(dice.lognormal(5, 1, 10_000).round()),
        unseen=reference_of(np.maximum(0, dice.normal(0, 0.05, 10_000))),
        communities={"science": 6_000, "cooking": 3_000, "gaming": 1_000},
        labels={"kept": 8_500, "removed": 1_500},
        agreement={"agreed": 9_000, "disagreed": 1_000},
    )


def a_day(seed: int, comments: int = 2_000) -> Measures:
    dice = np.random.default_rng(seed)

    def shares(names: list[str], expected: list[float]) -> Mapping[str, float]:
        return dict(zip(names, dice.multinomial(comments, expected).tolist(), strict=True))

    return Measures(
        score=dice.beta(0.7, 3, comments),
        length=dice.lognormal(5, 1, comments).round(),
        unseen=np.maximum(0, dice.normal(0, 0.05, comments)),
        communities=shares(["science", "cooking", "gaming"], [0.6, 0.3, 0.1]),
        labels=shares(["kept", "removed"], [0.85, 0.15]),
        agreement=shares(["agreed", "disagreed"], [0.9, 0.1]),
    )


def other_days() -> dict[str, Measures]:
    """Days on which one measure is another, by that measure."""
    day = a_day(7)
    return {
        "score": replace(day, score=np.sqrt(day.score)),
        "length": replace(day, length=day.length * 2),
        "unseen": replace(day, unseen=day.unseen + 0.05),
        "communities": replace(day, communities={**day.communities, "raiders": 700}),
        "labels": replace(day, labels={"kept": 1_520, "removed": 480}),
        "agreement": replace(day, agreement={"agreed": 1_600, "disagreed": 400}),
    }


def test_days_without_drift_raise_no_alarm_at_any_size(reference: TrainingReference) -> None:
    for comments in (0, 50, 250, 2_000):
        assert not any(drifted(compare_with_reference(reference, a_day(seed, comments))) for seed in range(30)), (
            comments
        )


@pytest.mark.parametrize("measure", MEASURES)
def test_exactly_the_drifting_measure_is_found(reference: TrainingReference, measure: str) -> None:
    found = compare_with_reference(reference, other_days()[measure])
    assert list(found) == MEASURES
    assert drifted(found) == [measure]


def test_fewer_unseen_words_are_no_drift(reference: TrainingReference) -> None:
    day = replace(a_day(7), unseen=np.zeros(2_000))
    found = compare_with_reference(reference, day)
    assert found["unseen"].distance is not None
    assert found["unseen"].distance > 0.4
    assert drifted(found) == []


@pytest.mark.parametrize("measure", MEASURES)
def test_too_few_comments_raise_no_alarm(reference: TrainingReference, measure: str) -> None:
    day = other_days()[measure]
    few = Measures(
        **{name: values[:150] for name, values in day.numbers().items()},  # type: ignore[arg-type]
        **{name: {key: n * 100 // 2_000 for key, n in counts.items()} for name, counts in day.names().items()},  # type: ignore[arg-type]
    )
    assert drifted(compare_with_reference(reference, few)) == []


def test_all_indices_share_the_false_alarm_rate_of_a_night(reference: TrainingReference) -> None:
    found = compare_with_reference(reference, a_day(7))
    assert sum(1 + (each.distance is not None) for each in found.values()) == INDICES


@pytest.mark.budget(30)
@pytest.mark.slow
def test_generated_days_without_drift_raise_no_alarm_and_new_words_do(tmp_path: Path) -> None:
    traffic = TrafficConfig(seed=5, days=22, comments_per_day=250, drift_from_day=20)
    nights = [drifted(found) for found in watched(days_of(traffic), tmp_path / "model", training_days=10)]
    assert nights[:10] == [[]] * 10
    assert all("unseen" in night for night in nights[10:])


HOURS = 3_600_000_000


@pytest.mark.parametrize(
    ("retrained", "asked", "named"),
    [
        (None, None, None),
        (71, None, "a retraining registered a version 71.0 hours ago, and the cool-down is 72 hours"),
        (72, None, None),
        (None, 1, "drift requested one 1.0 hours ago"),
        (80, 2, "drift requested one 2.0 hours ago"),
        (2, 80, "a retraining registered a version 2.0 hours ago"),
        (80, 80, None),
    ],
)
def test_the_cool_down_counts_from_the_last_retraining_and_the_last_request(
    retrained: int | None, asked: int | None, named: str | None
) -> None:
    now_us = 1_000 * HOURS

    def ago(hours: int | None) -> int | None:
        return None if hours is None else now_us - hours * HOURS

    found = cooling_down(now_us, ago(retrained), ago(asked), 72 * HOURS)
    assert (found is None) == (named is None)
    assert found is None or (named is not None and found.startswith(named))
    assert cooling_down(now_us, ago(retrained), ago(asked), 0) is None


def test_labels_are_those_of_the_newest_day_whose_last_comment_is_mature() -> None:
    day = date(2026, 11, 23)
    assert newest_mature_day(day, 48 * HOURS) == date(2026, 11, 21)
    assert newest_mature_day(day, 49 * HOURS) == date(2026, 11, 20)
    assert newest_mature_day(day, 1) == date(2026, 11, 22)
    assert newest_mature_day(day, 0) == day


def test_labels_are_made_as_in_the_training_unless_a_parameter_differs() -> None:
    trained = {"maturity_us": 6 * HOURS, "no_action": "left out"}
    assert label_rules(trained, None) == (6 * HOURS, "left out")
    assert label_rules(trained, 2.5) == (2.5 * HOURS, "left out")
    assert label_rules({}, None) == (48 * HOURS, "kept")


def test_the_day_of_a_run_is_the_parameter_its_logical_date_or_the_day_before() -> None:
    night = RunDates("scheduled", datetime(2026, 11, 24, 4, tzinfo=UTC))
    assert day_of_run({"day": "2026-11-01"}, night) == date(2026, 11, 1)
    assert day_of_run({"day": None}, night) == day_of_run({}, night) == date(2026, 11, 23)
    of_a_date = RunDates("manual", night.run_after, datetime(2026, 11, 5, tzinfo=UTC))
    assert day_of_run({"day": None}, of_a_date) == date(2026, 11, 5)
    for wrong in ("2026-11-01T07", "yesterday"):
        with pytest.raises(ConfigurationError, match=wrong):
            day_of_run({"day": wrong}, night)


def a_report(found: Mapping[str, DriftResult], held_back: str | None = None) -> DriftReport:
    return DriftReport("2026-11-23", "2026-11-21", "3", 2_000, 1_900, found, held_back)


def test_the_report_summarizes_the_check(reference: TrainingReference) -> None:
    quiet, loud = compare_with_reference(reference, a_day(3)), compare_with_reference(reference, other_days()["unseen"])
    assert (a_report(quiet).asks, a_report(quiet).summary) == (False, "Nothing has drifted.")
    assert "no result" in a_report(compare_with_reference(reference, a_day(3, 20))).summary
    assert a_report(loud).asks
    assert a_report(loud).reason == "drift on 2026-11-23 against version 3: unseen"
    held = a_report(loud, "drift requested one an hour ago")
    assert not held.asks
    assert held.summary == "Drifted: unseen. No retraining is requested: drift requested one an hour ago."


def test_every_index_can_be_recomputed_from_the_artifacts(reference: TrainingReference) -> None:
    day = other_days()["unseen"]
    report = a_report(compare_with_reference(reference, day))
    files = evidence_files(report, reference, day)
    assert set(files) == {"drift.json", "drift.md", "drift.png"}
    kept = json.loads(files["drift.json"])
    assert kept["drifted"] == ["unseen"]
    for name in ("labels", "agreement"):
        both = kept["counts"][name]
        again = drift_of_counts([both["training"][key] for key in both["day"]], list(both["day"].values()))
        assert kept["findings"][name]["psi"] == pytest.approx(again.psi)
    unseen = kept["counts"]["unseen"]
    known, seen = (np.array(unseen[key]) / sum(unseen[key]) for key in ("training", "day"))
    assert kept["findings"]["unseen"]["distance"] == pytest.approx(np.abs(np.cumsum(known) - np.cumsum(seen)).max())
    assert sum(unseen["day"]) == len(day.unseen)
    rows = [line for line in files["drift.md"].decode().splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == ["measure", *MEASURES]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows if "**drifted**" in row] == ["unseen"]
    picture = matplotlib.image.imread(io.BytesIO(files["drift.png"]))
    assert picture.shape[:2] == (880, 1485)
    assert picture[..., :3].std() > 0.02


def test_a_day_without_comments_has_artifacts(reference: TrainingReference) -> None:
    nothing = Measures(np.zeros(0), np.zeros(0), np.zeros(0), {}, {"removed": 0, "kept": 0}, {})
    report = replace(a_report(compare_with_reference(reference, nothing)), comments=0, labelled=0)
    files = evidence_files(report, reference, nothing)
    assert "no result" in files["drift.md"].decode()
    assert drift_table(report).count("too few") == len(MEASURES)
