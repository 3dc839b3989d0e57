from __future__ import annotations

import numpy as np
import pytest

from moderation.training.drift import Alarm, drift_of, drift_of_counts, drift_of_shares, reference_of

MEASURES = 6
"""So many measures are watched every night."""


@pytest.mark.parametrize("comments", [250, 2_000, 20_000])
def test_two_hundred_quiet_days_alarm_nobody(comments: int) -> None:
    dice = np.random.default_rng(comments)
    alarms = 0
    for _ in range(MEASURES):
        reference = reference_of(dice.beta(0.7, 3, 10_000))
        alarms += sum(drift_of(reference, dice.beta(0.7, 3, comments)).has_drifted for _ in range(200))
    assert alarms <= 2


@pytest.mark.parametrize("comments", [500, 5_000])
def test_a_shift_is_seen_the_first_night(comments: int) -> None:
    dice = np.random.default_rng(1)
    reference = reference_of(dice.beta(0.7, 3, 10_000))
    found = drift_of(reference, dice.beta(1.6, 3, comments))
    assert found.has_drifted
    assert found.psi > 0.2


def test_a_large_day_does_not_alarm_over_a_shift_that_matters_to_nobody() -> None:
    dice = np.random.default_rng(2)
    found = drift_of(reference_of(dice.normal(0, 1, 50_000)), dice.normal(0.05, 1, 500_000))
    assert found.chance < 1e-4
    assert not found.has_drifted


def test_a_small_day_says_nothing() -> None:
    reference = reference_of(np.linspace(0, 1, 1_000))
    found = drift_of(reference, np.ones(100))
    assert found.psi > 1
    assert not found.has_drifted
    assert drift_of(reference, np.ones(100), Alarm(least=100)).has_drifted
    assert not drift_of(reference, []).has_drifted


def test_a_new_community_that_brings_half_of_the_day_is_drift_and_a_tiny_one_is_not() -> None:
    reference = {"science": 6_000, "cooking": 4_000}
    assert drift_of_shares(reference, {"science": 300, "cooking": 200, "raiders": 500}).has_drifted
    assert not drift_of_shares(reference, {"science": 600, "cooking": 400, "raiders": 3}).has_drifted


def test_equal_values_make_few_bins_and_equal_shares_no_drift() -> None:
    reference = reference_of([1.0] * 900 + [2.0] * 100)
    assert sum(reference.counts) == 1_000
    assert drift_of(reference, [1.0] * 450 + [2.0] * 50).psi == pytest.approx(0, abs=1e-3)
    assert drift_of_counts([10, 0], [0, 0]).chance == 1.0
