from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp, kstwobign

from moderation.training.drift import Alarm, drift_of, drift_of_counts, drift_of_shares, reference_of

MEASURES = 6
"""Number of measures that are checked every night."""


@pytest.mark.slow
@pytest.mark.parametrize("comments", [250, 2_000, 8_000])
def test_two_hundred_days_without_drift_raise_no_alarm(comments: int) -> None:
    rng = np.random.default_rng(comments)
    alarms = 0
    for _ in range(MEASURES):
        reference = reference_of(rng.beta(0.7, 3, 10_000))
        alarms += sum(drift_of(reference, rng.beta(0.7, 3, comments)).has_drifted for _ in range(200))
    assert alarms <= 2


@pytest.mark.parametrize("comments", [500, 5_000])
def test_a_shift_is_detected_on_the_first_night(comments: int) -> None:
    rng = np.random.default_rng(1)
    reference = reference_of(rng.beta(0.7, 3, 10_000))
    found = drift_of(reference, rng.beta(1.6, 3, comments))
    assert found.has_drifted
    assert found.psi > 0.2


def test_a_large_day_raises_no_alarm_for_a_negligible_shift() -> None:
    rng = np.random.default_rng(2)
    found = drift_of(reference_of(rng.normal(0, 1, 50_000)), rng.normal(0.05, 1, 500_000))
    assert found.chance < 1e-4
    assert not found.has_drifted


def test_a_small_day_raises_no_alarm() -> None:
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


def test_rare_names_share_a_bin_so_that_many_of_them_raise_no_alarm() -> None:
    rng = np.random.default_rng(3)
    shares = np.full(400, 1 / 400)
    reference = {f"c{n}": int(count) for n, count in enumerate(rng.multinomial(40_000, shares))}
    quiet = [rng.multinomial(300, shares) for _ in range(200)]
    found = [drift_of_shares(reference, {f"c{n}": int(c) for n, c in enumerate(day)}) for day in quiet]
    assert not any(each.has_drifted for each in found)
    assert max(each.psi for each in found) < 0.2
    one_bin_each = [drift_of_counts(list(reference.values()), day) for day in quiet]
    assert min(each.psi for each in one_bin_each) > 0.2  # without the shared bin


def test_indices_by_hand() -> None:
    reference = reference_of(np.arange(1_000.0))
    found = drift_of(reference, np.repeat(np.arange(500.0), 2))  # the upper half is empty now
    # Borders are the values at whole percentiles, 9, 19, … 989, and belong to the bin above.
    assert found.distance == pytest.approx(0.499)
    p = (np.array([99, *[100] * 8, 101]) + 0.5) / 1_005
    q = (np.array([198, *[200] * 4, 2, 0, 0, 0, 0]) + 0.5) / 1_005
    assert found.psi == pytest.approx(sum((q - p) * np.log(q / p)))
    assert found.has_drifted
    assert drift_of(reference, np.arange(1_000.0)).distance == 0


def test_the_distance_is_that_of_kolmogorov_and_smirnov_up_to_a_percent() -> None:
    rng = np.random.default_rng(4)
    trained, day = rng.normal(0, 1, 5_000), rng.normal(0.2, 1.3, 1_500)
    exact = ks_2samp(trained, day, method="asymp")
    found = drift_of(reference_of(trained), day)
    assert found.distance is not None
    assert found.distance_chance is not None
    assert exact.statistic - 0.01 <= found.distance <= exact.statistic
    assert found.distance_chance == pytest.approx(kstwobign.sf(found.distance * np.sqrt(5_000 * 1_500 / 6_500)))
    same = drift_of(reference_of(trained), trained[:1_000])
    assert same.distance_chance is not None
    assert same.distance_chance > 0.05


def test_the_distance_detects_a_shift_in_the_middle_with_a_small_index() -> None:
    rng = np.random.default_rng(5)
    reference = reference_of(rng.normal(0, 1, 20_000))
    found = drift_of(reference, rng.normal(0.43, 1, 4_000), Alarm(distance=0.16))
    assert found.psi < 0.2
    assert found.has_drifted
    assert not drift_of(reference, rng.normal(0.43, 1, 4_000), Alarm(distance=0.3)).has_drifted


def test_a_large_index_by_chance_is_no_alarm() -> None:
    rng = np.random.default_rng(8)
    reference, alarm = reference_of(rng.normal(0, 1, 10_000)), Alarm(least=20)
    quiet = [drift_of(reference, rng.normal(0, 1, 40), alarm) for _ in range(200)]
    assert sum(each.psi >= alarm.psi for each in quiet) > 20
    assert sum((each.distance or 0) >= alarm.distance for each in quiet) > 5
    assert not any(each.has_drifted for each in quiet)
    only_distance = Alarm(least=20, psi=9)
    assert not any(drift_of(reference, rng.normal(0, 1, 40), only_distance).has_drifted for _ in range(200))


def test_a_small_reference_raises_no_alarm() -> None:
    found = drift_of(reference_of(np.linspace(0, 1, 100)), np.ones(5_000))
    assert found.psi > 1
    assert not found.has_drifted


def test_weighted_comments_keep_the_distribution_with_a_smaller_sample_size() -> None:
    rng = np.random.default_rng(6)
    values, weight = rng.normal(0, 1, 2_000), rng.integers(1, 6, 2_000).astype(float)
    weighted, repeated = reference_of(values, weight), reference_of(np.repeat(values, weight.astype(int)))
    assert weighted.edges == repeated.edges
    shares = np.array(weighted.counts) / sum(weighted.counts)
    assert shares == pytest.approx(np.array(repeated.counts) / sum(repeated.counts), abs=1e-6)
    assert sum(weighted.counts) == pytest.approx(weight.sum() ** 2 / (weight**2).sum())


def test_equal_values_give_few_bins_and_equal_shares_no_drift() -> None:
    reference = reference_of([1.0] * 900 + [2.0] * 100)
    assert sum(reference.counts) == 1_000
    assert drift_of(reference, [1.0] * 450 + [2.0] * 50).psi == pytest.approx(0, abs=1e-3)
    assert drift_of_counts([10, 0], [0, 0]).chance == 1.0
