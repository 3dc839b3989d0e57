"""Two hundred quiet nights with weekdays and a growing community, then a drift of the vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest

from moderation.datasets.synthetic import TrafficConfig
from tests.support.drift_scenario import days_of, drifted, watched

TRAINING, QUIET, LOUD = 21, 200, 3


@pytest.mark.proof
@pytest.mark.parametrize("seed", [1, 2])
def test_two_hundred_quiet_nights_alarm_at_most_twice_and_drift_is_detected(tmp_path: Path, seed: int) -> None:
    days = TRAINING + QUIET + LOUD
    traffic = TrafficConfig(seed=seed, days=days, comments_per_day=400, drift_from_day=TRAINING + QUIET)
    nights = watched(days_of(traffic, doubles_in_days=TRAINING + QUIET), tmp_path / "model", training_days=TRAINING)
    found = [drifted(findings) for findings in nights]
    assert len(found) == QUIET + LOUD
    assert sum(map(bool, found[:QUIET])) <= 2
    assert all("unseen" in night for night in found[QUIET:])


@pytest.mark.proof
def test_a_change_of_moderation_is_detected_by_the_labels(tmp_path: Path) -> None:
    traffic = TrafficConfig(seed=3, days=33, comments_per_day=800, policy_change_from_day=28)
    nights = [drifted(found) for found in watched(days_of(traffic), tmp_path / "model", training_days=TRAINING)]
    assert not any(nights[:7])
    assert sum("labels" in night for night in nights[7:]) >= 2
