"""Input of a reconciliation as plain rows; writes them as the Parquet files of an engine and runs the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from batch.reconcile.engines import DuckDbEngine, Engine
from batch.reconcile.lake_letters import SCHEMA as LAKE_LETTERS
from batch.reconcile.recompute import SCHEMA
from batch.reconcile.results import DayResults, read_results
from batch.reconcile.run import AGES_SCHEMA
from batch.reconcile.sql import VERDICTS
from moderation.adapters.reconciliation.row_digests import row_digest
from moderation.adapters.reconciliation.snapshot import LETTER_FIELDS

ALLOW, REVIEW, REMOVE = range(3)
COUNTED, LATE, DUPLICATE = range(3)
PANE_US = 300_000_000
HOUR_US = 3_600_000_000
Sums = tuple[int, int, int, int]
"""Comments, reviews, removals, sum of scores."""
NOTHING: Sums = (0, 0, 0, 0)
APPEND_US = 1_700_006_400_000_000
"""Append time of the records unless stated."""


class Place(NamedTuple):
    """Position of a record."""

    topic_id: str
    part: int
    pos: int


class Key(NamedTuple):
    """Key of a pane."""

    topic_id: str
    part: int
    community: str
    start_us: int
    model_version: str
    policy_version: str


@dataclass(frozen=True)
class Worth:
    """Record of the lake with its recomputed result."""

    topic_id: str
    part: int
    pos: int
    event_us: int
    community: str
    comment_id: str
    record_hash: int
    record_id: bytes
    score: int
    verdict: int
    is_late: bool
    is_replay: bool
    model_version: str
    policy_version: str
    kernel_version: str
    is_quarantined: bool = False
    repairs: str = ""
    append_us: int = APPEND_US
    reasons: str = ""
    letter_holds: bool = False
    is_other_model: bool = False

    @property
    def digest_upper(self) -> int:
        """Upper half of the row's digest."""
        return self._digest()[0]

    @property
    def digest_lower(self) -> int:
        """Lower half of the row's digest."""
        return self._digest()[1]

    def _digest(self) -> tuple[int, int]:
        numbers = (self.pos, self.event_us, self.append_us, self.score)
        return row_digest(*numbers, VERDICTS[self.verdict], self.comment_id, self.record_id, self.reasons)


@dataclass(frozen=True)
class Letter:
    """Dead letter of the ledger."""

    reason: str = "not_json"
    failed: bool = False
    released: bool = False
    append_us: int = APPEND_US
    length: int = 4
    sha256: str = "d" * 64
    is_of_day: bool = True


@dataclass(frozen=True)
class LakeLetter:
    """Record of the lake that its rules refuse, or that has a dead letter; reason ``""`` if they read it."""

    reason: str | None = "not_json"
    append_us: int = APPEND_US
    length: int = 4
    sha256: str = "d" * 64


@dataclass(frozen=True)
class Decided:
    """Row of the ledger."""

    topic_id: str
    part: int
    pos: int
    event_us: int
    community: str
    score: int
    verdict: int
    fate: int
    stored_us: int
    model_version: str
    policy_version: str
    kernel_version: str
    repairs: str = ""
    append_us: int = APPEND_US
    reasons: str = ""
    comment_id: str = ""
    record_id: bytes = b""

    def without_stored_us(self) -> Decided:
        """Return the row as an export of chosen hours has it."""
        return replace(self, stored_us=None)  # type: ignore[arg-type]


Row = Worth | Decided


def place_of(row: Row) -> Place:
    """Return the position of a row."""
    return Place(row.topic_id, row.part, row.pos)


def key_of(row: Row) -> Key:
    """Return the pane of a row."""
    start_us = row.event_us // PANE_US * PANE_US
    return Key(row.topic_id, row.part, row.community, start_us, row.model_version, row.policy_version)


def sums_of(row: Row) -> Sums:
    """Return the contribution of a row to its pane."""
    return 1, int(row.verdict == REVIEW), int(row.verdict == REMOVE), row.score


def plus(left: Sums, right: Sums, sign: int = 1) -> Sums:
    """Add measures with a sign."""
    a, b, c, d = (x + sign * y for x, y in zip(left, right, strict=True))
    return a, b, c, d


@dataclass
class Tables:
    """Input tables of an engine."""

    recomputed: dict[Place, Worth] = field(default_factory=dict)
    ledger: dict[Place, Decided] = field(default_factory=dict)
    panes: dict[Key, Sums] = field(default_factory=dict)
    letters: dict[Place, Letter] = field(default_factory=dict)
    lake_letters: dict[Place, LakeLetter] = field(default_factory=dict)
    cuts: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    actions: list[tuple[str, str, int]] = field(default_factory=list)

    def copy(self) -> Tables:
        """Return a copy that can be altered."""
        cuts, actions = dict(self.cuts), list(self.actions)
        letters, lake_letters = dict(self.letters), dict(self.lake_letters)
        return Tables(dict(self.recomputed), dict(self.ledger), dict(self.panes), letters, lake_letters, cuts, actions)

    def beside(self, other: Tables) -> None:
        """Add the tables of another scenario that shares no topic."""
        self.recomputed |= other.recomputed
        self.ledger |= other.ledger
        self.panes |= other.panes
        self.letters |= other.letters
        self.lake_letters |= other.lake_letters
        self.cuts |= other.cuts
        self.actions += other.actions

    def count(self, row: Decided, sign: int = 1) -> None:
        """Add a counted row to its pane, or remove it."""
        if row.fate == COUNTED:
            key = key_of(row)
            self.panes[key] = plus(self.panes.get(key, NOTHING), sums_of(row), sign)
            if self.panes[key] == NOTHING:
                del self.panes[key]


_PLACE = [("topic_id", pa.string()), ("part", pa.int32()), ("pos", pa.int64())]
_VERSIONS = [("model_version", pa.string()), ("policy_version", pa.string()), ("kernel_version", pa.string())]
_DECIDED = pa.schema(
    [
        *_PLACE,
        ("event_us", pa.int64()),
        ("community", pa.string()),
        *((name, pa.int32()) for name in ("score", "verdict", "fate")),
        ("stored_us", pa.int64()),
        *_VERSIONS,
        *((name, pa.string()) for name in ("repairs", "reasons", "comment_id")),
        ("append_us", pa.int64()),
        ("record_id", pa.binary()),
    ]
)
_PANES = pa.schema(
    [
        *_PLACE[:2],
        ("community", pa.string()),
        ("start_us", pa.int64()),
        *_VERSIONS[:2],
        *((name, pa.int64()) for name in ("comments", "reviews", "removals", "score_sum")),
    ]
)
_LETTERS = pa.schema(LETTER_FIELDS)
_CUTS = pa.schema([*_PLACE[:2], ("archived", pa.int64()), ("next", pa.int64())])
_ACTIONS = pa.schema([("comment_id", pa.string()), ("action", pa.string()), ("action_time_us", pa.int64())])


def write(tables: Tables, folder: Path, random: Random | None = None) -> dict[str, Path]:
    """Write every input file; with ``random`` shuffle the rows and split them into several files."""
    made: Mapping[str, tuple[pa.Schema, Iterable[tuple[object, ...]]]] = {
        "recomputed": (SCHEMA, (_values(row, SCHEMA) for row in tables.recomputed.values())),
        "stored_ages": (AGES_SCHEMA, ()),
        "ledger": (_DECIDED, (_values(row, _DECIDED) for row in tables.ledger.values())),
        "speed_panes": (_PANES, ((*key, *sums) for key, sums in tables.panes.items())),
        "letters": (_LETTERS, (_placed(place, row, _LETTERS) for place, row in tables.letters.items())),
        "lake_letters": (LAKE_LETTERS, (_placed(*each, LAKE_LETTERS) for each in tables.lake_letters.items())),
        "cuts": (_CUTS, ((*partition, *cut) for partition, cut in tables.cuts.items())),
        "actions": (_ACTIONS, tables.actions),
    }
    inputs = {"compared": folder / "recomputed"}
    for name, (schema, lines) in made.items():
        rows = list(lines)
        middle = 0
        if random:
            random.shuffle(rows)
            middle = random.randint(0, len(rows))
        inputs[name] = folder / name
        inputs[name].mkdir(parents=True)
        for number, piece in enumerate((rows[middle:], rows[:middle]) if random else (rows,)):
            pq.write_table(_table(schema, piece), inputs[name] / f"{number}.parquet")
    return inputs


def write_ledger(rows: Iterable[Decided], folder: Path) -> None:
    """Write rows of the ledger to ``0.parquet`` in a folder."""
    pq.write_table(_table(_DECIDED, [_values(row, _DECIDED) for row in rows]), folder / "0.parquet")


def _values(row: object, schema: pa.Schema) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in schema.names)


def _placed(place: Place, row: object, schema: pa.Schema) -> tuple[object, ...]:
    return *place, *(getattr(row, name) for name in schema.names[len(place) :])


def _table(schema: pa.Schema, rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [pa.array(values, each.type) for values, each in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


@dataclass(frozen=True)
class Seen:
    """Outcome with the rows of its file of differences and the rows for PostgreSQL."""

    outcome: DayResults
    differences: list[dict[str, Any]]
    kept: list[tuple[object, ...]]


def reconcile(
    tables: Tables,
    engine: Engine | None = None,
    random: Random | None = None,
    say: Callable[[str], None] = lambda line: None,
    *,
    is_read: bool = True,
) -> Seen:
    """Run an engine, DuckDB by default, and return its outcome."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        inputs = write(tables, folder, random)
        results = (engine or DuckDbEngine()).run(inputs, folder / "work", say)
        outcome = read_results(results, folder, is_read=is_read)
        return Seen(outcome, pq.read_table(outcome.differences).to_pylist(), list(outcome.difference_rows()))
