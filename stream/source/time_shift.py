"""Shift old data in time by one constant. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from moderation.contracts import FIRST_RULES, parse_action, parse_record, to_json
from moderation.contracts.records import MAX_TIME_US
from moderation.datasets.synthetic import Arrival
from moderation.errors import ConfigurationError, InvalidRecord


def shifted(arrivals: Iterable[Arrival], by_us: int) -> Iterator[Arrival]:
    """Shift arrival times and the times inside values by a constant.

    A value that cannot be read as a comment or action stays the same, byte for byte. A future-dated comment stays as
    far ahead of its arrival.

    Args:
        arrivals: arrivals to shift.
        by_us: microseconds, either direction; 0 keeps all values byte for byte.

    Raises:
        ConfigurationError: a shifted time would be outside 1970 to 9999.
    """
    for arrival in arrivals:
        yield shifted_arrival(arrival, by_us) if by_us else arrival


def shifted_arrival(arrival: Arrival, by_us: int) -> Arrival:
    """Shift one arrival; see :func:`shifted`."""
    value = arrival.value
    try:
        if arrival.topic == "actions":
            action = parse_action(value)
            value = to_json(replace(action, action_time_us=_moved(action.action_time_us, by_us, arrival.key)))
        else:
            # The clock is not checked here: a future-dated comment is shifted like every other.
            comment = parse_record(value, MAX_TIME_US, FIRST_RULES)  # a value that needs repair stays the same
            value = to_json(replace(comment, event_time_us=_moved(comment.event_time_us, by_us, arrival.key)))
    except InvalidRecord:
        pass
    return replace(arrival, arrival_us=arrival.arrival_us + by_us, value=value)


def _moved(time_us: int, by_us: int, key: str) -> int:
    moved_us = time_us + by_us
    if not 0 <= moved_us <= MAX_TIME_US:
        raise ConfigurationError(
            "--shift-to", f"the time of {key} would be outside 1970 to 9999", "Shift to another instant."
        )
    return moved_us
