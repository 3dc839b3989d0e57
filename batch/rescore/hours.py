"""Tumbling hours as the batch would have them had one version served all along, beside those that are served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from batch.reconcile.sql import STATEMENTS
from batch.run_interval import Interval
from moderation.errors import ConfigurationError
from moderation.panes import MEASURES

HOUR_US = 3_600_000_000
_HOURS = f"""
SELECT topic_id, community, start_us - start_us % {HOUR_US} AS hour_us,
       {", ".join(f"sum({measure})::BIGINT AS {measure}" for measure in (*MEASURES, "late"))}
  FROM ({STATEMENTS["batch_panes"]}) GROUP BY ALL
"""
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("topic_id", "community")),
        *((name, pa.int64()) for name in ("start_us", "end_us")),
        *((name, pa.int64()) for name in (*MEASURES, "late")),
        *((f"served_{name}", pa.int64()) for name in (*MEASURES, "late")),
        *(("state", pa.string()), ("revision", pa.int32())),
    ]
)
HourKey = tuple[str, str, int]
"""Topic id, community and start of an hour."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Statistics of an hour; ``late`` are those of its comments that came late.

    The batch counts a late comment; the speed layer's provisional windows do not.
    """

    comments: int
    reviews: int
    removals: int
    score_sum: int
    late: int

    def plus(self, other: Sums) -> Sums:
        """Added up."""
        return Sums(*(left + right for left, right in zip(astuple(self), astuple(other), strict=True)))

    def fields(self) -> dict[str, int]:
        """As JSON fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


ZERO_SUMS = Sums(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ServedHour:
    """What the serving view has; ``state`` and ``revision`` as there."""

    sums: Sums
    state: str
    revision: int | None


@dataclass(frozen=True, slots=True)
class HourPair:
    """One hour of a community, both ways.

    Attributes:
        topic_id, community, start_us: which.
        as_if: had the version served all along; nothing where the lake has no comment.
        served: None where the serving view has no such window.
    """

    topic_id: str
    community: str
    start_us: int
    as_if: Sums
    served: ServedHour | None

    def fields(self) -> dict[str, Any]:
        """As JSON fields."""
        served = self.served
        return {
            **{"topic_id": self.topic_id, "community": self.community},
            **{"start_us": self.start_us, "end_us": self.start_us + HOUR_US},
            "as_if": self.as_if.fields(),
            "served": served and {**served.sums.fields(), "state": served.state, "revision": served.revision},
        }


def require_hours(window: Interval) -> None:
    """Refuse a window that cuts an hour: its sums could not stand beside those served.

    Raises:
        ConfigurationError: it does.
    """
    if window.start_us % HOUR_US or window.end_us % HOUR_US:
        raise ConfigurationError(
            "window of a what-if by the hour",
            "it begins or ends within an hour",
            "Give start and end on the hour, UTC.",
        )


def as_if_hours(duck: duckdb.DuckDBPyConnection) -> dict[HourKey, Sums]:
    """Hours of the recomputed comments, counted as the batch counts them.

    Args:
        duck: has ``recomputed`` and ``copies``.
    """
    return {(row[0], row[1], row[2]): Sums(*row[3:]) for row in duck.sql(_HOURS).fetchall()}


def pair_hours(as_if: Mapping[HourKey, Sums], served: Mapping[HourKey, ServedHour]) -> list[HourPair]:
    """Every hour that either side has, in order of start, community and topic id."""
    places = sorted(as_if.keys() | served.keys(), key=lambda place: (place[2], place[1], place[0]))
    return [HourPair(*place, as_if.get(place, ZERO_SUMS), served.get(place)) for place in places]


def by_community(pairs: Iterable[HourPair]) -> dict[str, tuple[Sums, Sums]]:
    """Sums by community in order of names: as if, served."""
    found: dict[str, tuple[Sums, Sums]] = {}
    for pair in pairs:
        as_if, served = found.get(pair.community, (ZERO_SUMS, ZERO_SUMS))
        found[pair.community] = as_if.plus(pair.as_if), served.plus(pair.served.sums if pair.served else ZERO_SUMS)
    return dict(sorted(found.items()))


def write_hours(pairs: Sequence[HourPair], path: Path) -> None:
    """Write hours as Parquet; what is served is null where nothing is."""
    rows = [
        (
            *(pair.topic_id, pair.community, pair.start_us, pair.start_us + HOUR_US),
            *astuple(pair.as_if),
            *(astuple(pair.served.sums) if pair.served else (None,) * len(fields(Sums))),
            *((pair.served.state, pair.served.revision) if pair.served else (None, None)),
        )
        for pair in pairs
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_SCHEMA)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), path, compression="zstd")
