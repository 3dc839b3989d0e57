"""Hourly sums as the batch would have them if one version had served all the time, next to the served sums."""

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
    """Statistics of an hour; ``late`` is the number of its late comments.

    The batch counts a late comment; the speed layer's provisional windows do not.
    """

    comments: int
    reviews: int
    removals: int
    score_sum: int
    late: int

    def plus(self, other: Sums) -> Sums:
        """Return the sum."""
        return Sums(*(left + right for left, right in zip(astuple(self), astuple(other), strict=True)))

    def fields(self) -> dict[str, int]:
        """Return the JSON fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


ZERO_SUMS = Sums(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ServedHour:
    """An hour of the serving view, with ``state`` and ``revision``."""

    sums: Sums
    state: str
    revision: int | None


@dataclass(frozen=True, slots=True)
class HourPair:
    """One hour of a community: with the requested version, and as served.

    Attributes:
        topic_id, community, start_us: the hour.
        as_if: sums as if the version had served all the time; zero if the lake has no comment.
        served: None if the serving view has no such window.
    """

    topic_id: str
    community: str
    start_us: int
    as_if: Sums
    served: ServedHour | None

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields."""
        served = self.served
        return {
            **{"topic_id": self.topic_id, "community": self.community},
            **{"start_us": self.start_us, "end_us": self.start_us + HOUR_US},
            "as_if": self.as_if.fields(),
            "served": served and {**served.sums.fields(), "state": served.state, "revision": served.revision},
        }


def require_hours(interval: Interval) -> None:
    """Refuse an interval that does not consist of whole hours, because its sums are not comparable with those served.

    Raises:
        ConfigurationError: it does not.
    """
    if interval.start_us % HOUR_US or interval.end_us % HOUR_US:
        raise ConfigurationError(
            "interval of a rescoring with hours",
            "it does not begin and end on the hour",
            "Give start and end on the hour, UTC.",
        )


def as_if_hours(duck: duckdb.DuckDBPyConnection) -> dict[HourKey, Sums]:
    """Return the hours of the recomputed comments, as the batch counts them.

    Args:
        duck: contains ``recomputed`` and ``copies``.
    """
    return {(row[0], row[1], row[2]): Sums(*row[3:]) for row in duck.sql(_HOURS).fetchall()}


def pair_hours(as_if: Mapping[HourKey, Sums], served: Mapping[HourKey, ServedHour]) -> list[HourPair]:
    """Pair every hour that either side has, in order of start, community and topic id."""
    keys = sorted(as_if.keys() | served.keys(), key=lambda key: (key[2], key[1], key[0]))
    return [HourPair(*key, as_if.get(key, ZERO_SUMS), served.get(key)) for key in keys]


def by_community(pairs: Iterable[HourPair]) -> dict[str, tuple[Sums, Sums]]:
    """Return the sums by community in order of names: as if, served."""
    sums: dict[str, tuple[Sums, Sums]] = {}
    for pair in pairs:
        as_if, served = sums.get(pair.community, (ZERO_SUMS, ZERO_SUMS))
        sums[pair.community] = as_if.plus(pair.as_if), served.plus(pair.served.sums if pair.served else ZERO_SUMS)
    return dict(sorted(sums.items()))


def write_hours(pairs: Sequence[HourPair], path: Path) -> None:
    """Write hours as Parquet; columns of served values are null if nothing was served."""
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
