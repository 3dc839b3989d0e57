"""Moving old data: one constant added to every time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from moderation.contracts import FIRST_RULES, parse_action, parse_record, to_json
from moderation.contracts.records import MAX_TIME_US
from moderation.datasets.synthetic import Arrival
from moderation.errors import ConfigurationError, InvalidRecord


def shifted(arrivals: Iterable[Arrival], by_us: int) -> Iterator[Arrival]:
    """Move arrival times and the times inside the values by a constant.

    A value that is no comment or action stays as it is, byte for byte. A future-dated comment is as far ahead of its
    arrival as before.

    Args:
        arrivals: to be moved.
        by_us: microseconds, either direction; 0 changes nothing, not even the spelling of a value.

    Raises:
        ConfigurationError: a moved time would lie outside 1970 to 9999.
    """
    for arrival in arrivals:
        yield shifted_arrival(arrival, by_us) if by_us else arrival


def shifted_arrival(arrival: Arrival, by_us: int) -> Arrival:
    """One arrival, moved; see :func:`shifted`."""
    value = arrival.value
    try:
        if arrival.topic == "actions":
            action = parse_action(value)
            value = to_json(replace(action, action_time_us=_moved(action.action_time_us, by_us, arrival.key)))
        else:
            # The clock is not judged here: a future-dated comment is moved like every other.
            comment = parse_record(value, MAX_TIME_US, FIRST_RULES)  # what needs repair stays as it is
            value = to_json(replace(comment, event_time_us=_moved(comment.event_time_us, by_us, arrival.key)))
    except InvalidRecord:
        pass
    return replace(arrival, arrival_us=arrival.arrival_us + by_us, value=value)


def _moved(time_us: int, by_us: int, key: str) -> int:
    moved_us = time_us + by_us
    if not 0 <= moved_us <= MAX_TIME_US:
        raise ConfigurationError(
            "--shift-to", f"the time of {key} would lie outside 1970 to 9999", "Shift to another instant."
        )
    return moved_us
