"""Rates of comments by hour of the day and day of the week."""

from __future__ import annotations

import math
from random import Random

from moderation.datasets.synthetic.community import Community
from moderation.datasets.synthetic.config import DAY_US, HOUR_US

_WEEKDAY = (1.06, 1.08, 1.05, 1.02, 0.96, 0.88, 0.95)  # Monday first; seven in sum
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
_NORMAL_FROM = 50.0


def hourly_rate(comments_per_day: int, community: Community, hour_start_us: int) -> float:
    """Return the expected comments of a community in one hour; over a week, 1/24 of its daily traffic on average.

    Args:
        comments_per_day: comments per day of all communities.
        community: the community.
        hour_start_us: start of the hour, microseconds since the epoch, UTC.
    """
    angle = 2 * math.pi * (hour_start_us / HOUR_US % 24 - community.peak_hour) / 24
    of_day = 1 + 0.8 * math.cos(angle) + 0.1 * math.cos(2 * angle)
    of_week = _WEEKDAY[(hour_start_us // DAY_US + _EPOCH_WEEKDAY) % 7]
    return comments_per_day * community.traffic_share * of_week * of_day / 24


def poisson(rng: Random, mean: float) -> int:
    """Draw a Poisson-distributed count; from a mean of 50 on, by its normal approximation."""
    if mean >= _NORMAL_FROM:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    # Count arrivals of a unit-rate process: exponential gaps until the mean is used up.
    count = 0
    left = mean - rng.expovariate(1.0)
    while left > 0:
        count += 1
        left -= rng.expovariate(1.0)
    return count
