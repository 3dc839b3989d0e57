"""The configuration of the generator, and its limits."""

from __future__ import annotations

from dataclasses import dataclass

from moderation.errors import ConfigurationError

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, a Thursday
_LAST_START_US = 4_102_444_800_000_000  # 2100-01-01: generated times stay far below the largest time of the contracts

SHARES = ("late_share", "duplicate_share", "edit_share", "broken_share", "future_share")
_SWITCH_DAYS = ("raid_day", "drift_from_day", "policy_change_from_day")


@dataclass(frozen=True, slots=True)
class TrafficConfig:
    """The input of the generator; equal configurations give equal bytes in any process.

    Days are counted from 0 at ``start_us`` and last 24 hours. Shares are of the comments written (a raid's comments
    not counted) and exclude each other; all are 0 by default.

    Attributes:
        seed: any integer.
        start_us: start of the first day, microseconds since the epoch, UTC; not after the year 2100.
        days: length of the history, at least 1; removals follow up to two days later.
        comments_per_day: average over a week, at least 1, without a raid.
        late_share: arrive 20 minutes to 6 hours after their event time.
        duplicate_share: arrive a second time, the same bytes, 1 to 60 seconds later.
        edit_share: are followed within half an hour by another version, with its own body and event time.
        broken_share: arrive as bytes that the parser refuses; the kinds of breakage alternate.
        future_share: arrive with an event time 10 minutes to 1 day ahead.
        raid_day: day on which one community receives near-identical spam for two hours.
        drift_from_day: from this day on comments have other words and topics.
        policy_change_from_day: from this day on moderators remove other kinds of comments.
        label_noise: probability that a verdict of moderators is reversed, in
            [0, 0.5); the default lets a good model reach an AUC of 0.85 to 0.90.

    Raises:
        ConfigurationError: a field is out of its limits; ``thing`` names the field.
    """

    seed: int = 0
    start_us: int = START_US
    days: int = 30
    comments_per_day: int = 2_000
    late_share: float = 0.0
    duplicate_share: float = 0.0
    edit_share: float = 0.0
    broken_share: float = 0.0
    future_share: float = 0.0
    raid_day: int | None = None
    drift_from_day: int | None = None
    policy_change_from_day: int | None = None
    label_noise: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.start_us <= _LAST_START_US:
            _refuse("start_us", self.start_us, f"must be in [0, {_LAST_START_US}] microseconds")
        for name in ("days", "comments_per_day"):
            if getattr(self, name) < 1:
                _refuse(name, getattr(self, name), "must be at least 1")
        for name in SHARES:
            if not 0 <= getattr(self, name) < 1:
                _refuse(name, getattr(self, name), "must be in [0, 1)")
        if (total := sum(getattr(self, name) for name in SHARES)) >= 1:
            _refuse(" + ".join(SHARES), total, "must be below 1: the shares exclude each other")
        if not 0 <= self.label_noise < 0.5:
            _refuse("label_noise", self.label_noise, "must be in [0, 0.5)")
        for name in _SWITCH_DAYS:
            day = getattr(self, name)
            if day is not None and not 0 <= day < self.days:
                _refuse(name, day, f"must be a day of the history, 0 to {self.days - 1}")


def _refuse(field: str, value: float, limit: str) -> None:
    raise ConfigurationError(field, f"{value} {limit}")
