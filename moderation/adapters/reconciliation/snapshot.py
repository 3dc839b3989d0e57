"""Snapshots for reconciliation: manifest, ledger, panes and positions at one instant of one database.

Rows are exported from PostgreSQL by binary COPY to Arrow and Parquet files. The transaction ends after the export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from moderation.adapters.lake.earlier_files import EarlierFiles, read_earlier_files, trusted_maxima
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.manifest import archived_ends, files, reads_to_end
from moderation.adapters.lake.replays import ReplayedLetter, proven_replays
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.sql.connection import Connection, connected
from moderation.adapters.sql.watermark_reset import read_resets
from moderation.contracts import MAX_FUTURE_US, Content, DeadLetterReason, Fate, LetterContents, Rules, Verdict
from moderation.ledger import Served, Versions
from moderation.offsets import TopicPartition
from moderation.timestamps import day_bounds_us, day_of
from moderation.watermark import Reset


@dataclass(frozen=True, slots=True)
class Cut:
    """How far a partition was read.

    Attributes:
        archived, next: ends of the archive and of the ledger.
        archive_read_us, worker_read_us: latest broker time at which archive and worker had read it to its end; None if
            they never had.
    """

    archived: int
    next: int
    archive_read_us: int | None = None
    worker_read_us: int | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter of the ledger.

    Attributes:
        append_us: append time of its record.
        reason: a ``DeadLetterReason``.
        content: length and SHA-256 of the record.
        rules_version: of the rules that refused the record; None if it is unknown.
        is_failed: whether the record is in quarantine.
        is_released: whether a replay that the lake confirms has released it from quarantine.
    """

    append_us: int
    reason: str
    content: Content
    rules_version: int | None
    is_failed: bool
    is_released: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Inputs for recomputing a range of event time.

    Attributes:
        topic: full name.
        start_us, end_us: the range, half-open; for a reconciliation a UTC day.
        manifest: lake files of the topic, without those of ``earlier``.
        cuts: ends of archive and ledger, by partition.
        served: versions in order of offsets, by partition.
        letters: dead letters appended on the day before the range or later, by partition and offset.
        replays: by partition and offset of a replay that closed a dead letter, the contents it may have.
        quarantined: offsets of all records in quarantine, by partition, with the SHA-256 of their
            values; without those with a replay that the lake confirms.
        resets: operator's resets of the running maximum of event times, in order of offsets, by partition.
        earlier: files of a partition that the range does not need, because they only decide the running maximum of
            event times before the others, which is known.
    """

    topic: str
    start_us: int
    end_us: int
    manifest: list[LakeFile]
    cuts: Mapping[TopicPartition, Cut]
    served: Mapping[TopicPartition, list[Served]]
    letters: Mapping[TopicPartition, Mapping[int, Letter]]
    replays: Mapping[TopicPartition, Mapping[int, LetterContents]]
    quarantined: Mapping[TopicPartition, Mapping[int, str]]
    resets: Mapping[TopicPartition, Sequence[Reset]] = field(default_factory=dict)
    earlier: Mapping[TopicPartition, EarlierFiles] = field(default_factory=dict)

    def cut_fields(self) -> dict[str, dict[str, dict[str, int]]]:
        """The cuts as stored in ``batch.runs``."""
        fields: dict[str, dict[str, dict[str, int]]] = {}
        for topic_partition, cut in self.cuts.items():
            by_number = fields.setdefault(str(topic_partition.topic_id), {})
            by_number[str(topic_partition.partition)] = {
                name: value for name, value in asdict(cut).items() if value is not None
            }
        return fields


def case_number(column: str, values: Sequence[str]) -> str:
    """Return SQL that maps a text of a fixed list to its index, to save space.

    Args:
        column: SQL expression of the text.
        values: the list.
    """
    whens = " ".join(f"WHEN '{value}' THEN {number}" for number, value in enumerate(values))
    return f"(CASE {column} {whens} END)::int4"


def ledger_columns(prefix: str = "", stored_us: str = "stored_us") -> str:
    """Return the columns of the engine's input ``ledger`` for a query on ``speed.decisions``.

    Args:
        prefix: of the columns' names, e.g. ``d.``.
        stored_us: SQL expression for the time of storing.
    """
    verdict, fate = case_number(f"{prefix}verdict", list(Verdict)), case_number(f"{prefix}fate", list(Fate))
    return (
        f'{prefix}topic_id::text AS topic_id, {prefix}partition AS part, {prefix}"offset" AS pos, '
        f"{prefix}event_time_us AS event_us, {prefix}append_us, {prefix}community, {prefix}comment_id, "
        f"{prefix}record_id, {prefix}score_ppm AS score, {verdict} AS verdict, "
        f"coalesce({prefix}reasons::text, '') AS reasons, {fate} AS fate, {stored_us} AS stored_us, "
        f"{prefix}model_version, {prefix}policy_version, {prefix}kernel_version, "
        f"coalesce({prefix}repairs, '') AS repairs"
    )


_LEDGER = f"""
SELECT {ledger_columns()}
  FROM speed.decisions
 WHERE topic_id = ANY('{{{{{{topics}}}}}}'::uuid[]) AND append_day >= '{{first_append_day}}'::date
   AND event_time_us >= {{start_us}} AND event_time_us < {{end_us}}
"""  # noqa: S608 - trusted numbers, dates and ids
_BEYOND_END = f"""
SELECT {ledger_columns("d.", "NULL::bigint")}
  FROM speed.decisions d LEFT JOIN (VALUES {{ends}}) AS e(topic_id, part, next)
    ON e.topic_id = d.topic_id AND e.part = d.partition
 WHERE d.topic_id = ANY('{{{{{{topics}}}}}}'::uuid[]) AND d.append_day >= '{{first_append_day}}'::date
   AND d.event_time_us >= {{start_us}} AND d.event_time_us < {{end_us}} AND d."offset" >= coalesce(e.next, 0)
"""  # noqa: S608 - the same
# The planner expects too many groups, because it takes the columns as independent: it would sort all rows of a large
# day on disk, by one process. A hash table that exceeds its memory goes to disk too.
_GROUPING = {"work_mem": "256MB", "enable_sort": "off", "parallel_setup_cost": "0", "parallel_tuple_cost": "0"}
_PANES = """
SELECT topic_id::text AS topic_id, partition AS part, community, start_us, model_version, policy_version,
       comments, reviews, removals, score_sum
  FROM speed.panes
 WHERE topic_id = ANY('{{{topics}}}'::uuid[]) AND start_us >= {start_us} AND start_us < {end_us}
"""
LETTER_FIELDS = [
    *(("topic_id", pa.string()), ("part", pa.int32()), ("pos", pa.int64()), ("append_us", pa.int64())),
    *(("reason", pa.string()), ("length", pa.int64()), ("sha256", pa.string())),
    *(("failed", pa.bool_()), ("released", pa.bool_()), ("is_of_day", pa.bool_())),
]
"""Columns of the file of dead letters."""
_CLOSINGS = """
SELECT topic_id, partition, "offset", reason, coalesce(replayed_as_topic_id, topic_id), replayed_as_partition,
       replayed_as_offset, raw_length, raw_sha256, corrected_length, corrected_sha256
  FROM speed.dead_letters WHERE topic_id = ANY(%s) AND replayed_as_offset IS NOT NULL
"""


@contextmanager
def take_snapshot(
    url: str,
    topic: str,
    bounds_us: tuple[int, int],
    folder: Path,
    store: LakeStore,
    digests_query: Callable[[int], str] | None = None,
) -> Iterator[Snapshot]:
    """Take a snapshot, and export ledger rows and panes of a range of event time as Parquet files.

    Args:
        url: a libpq connection string.
        topic: full name.
        bounds_us: start and end of the range, half-open; see :func:`day_bounds_us`.
        folder: receives the folders ``ledger``, ``speed_panes``, ``letters`` and ``cuts``, each with one file.
        store: the lake, which confirms replays of records in quarantine.
        digests_query: returns a query by the version of PostgreSQL; exports its result into the folder
            ``ledger_digests``, instead of the ledger's rows. Rows at or above the ledger's end, which nothing but a
            fault stores, are exported into the folder ``beyond_end``.

    Raises:
        LakeDamaged: a file with such a replay is missing or altered.
        DatabaseUnavailable: the database cannot be reached.
        LedgerUnsafe: its tables are missing.
    """
    with connected(url, name="moderation snapshot") as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        start_us, end_us = bounds_us
        snapshot, replayed = _read(connection, topic, start_us, end_us)
        named = {
            "topics": ",".join(sorted({str(topic_partition.topic_id) for topic_partition in snapshot.cuts})),
            # No event time is more than five minutes after the append time, so earlier append days have no such rows.
            "first_append_day": _day_before(start_us),
            "start_us": start_us,
            "end_us": end_us,
            "ends": _ends_of(snapshot.cuts),
        }
        if digests_query is None:
            export_rows(connection, url, _LEDGER.format(**named), folder / "ledger")
        else:
            query = digests_query(connection.info.server_version).format(**named)
            export_rows(connection, url, query, folder / "ledger_digests", _GROUPING)
            if pc.any(pq.read_table(folder / "ledger_digests", columns=["is_beyond"])["is_beyond"]).as_py():
                export_rows(connection, url, _BEYOND_END.format(**named), folder / "beyond_end")
        export_rows(connection, url, _PANES.format(**named), folder / "speed_panes")
    snapshot = _released(snapshot, proven_replays(store, snapshot.manifest, replayed))
    _write_letters(snapshot, folder / "letters")
    _write_cuts(snapshot.cuts, folder / "cuts")
    yield snapshot


def _ends_of(cuts: Mapping[TopicPartition, Cut]) -> str:
    """Return the values of a SQL table of topic id, partition and end of the ledger, with at least one row."""
    rows = [f"('{each.topic_id}'::uuid, {each.partition}, {cut.next}::bigint)" for each, cut in cuts.items()]
    return ", ".join(rows) or "(NULL::uuid, NULL::int4, NULL::bigint)"


def _day_before(time_us: int) -> date:
    return day_of(time_us) - timedelta(days=1)


def _released(snapshot: Snapshot, proven: Iterable[ReplayedLetter]) -> Snapshot:
    """Return the snapshot without records in quarantine whose replays the lake confirms."""
    letters = {topic_partition: dict(by_offset) for topic_partition, by_offset in snapshot.letters.items()}
    quarantined = {topic_partition: dict(digests) for topic_partition, digests in snapshot.quarantined.items()}
    for letter in proven:
        quarantined.get(letter.topic_partition, {}).pop(letter.offset, None)
        if letter.offset in (by_offset := letters.get(letter.topic_partition, {})):
            by_offset[letter.offset] = replace(by_offset[letter.offset], is_failed=False, is_released=True)
    return replace(snapshot, letters=letters, quarantined=quarantined)


def _read(connection: Connection, topic: str, start_us: int, end_us: int) -> tuple[Snapshot, list[ReplayedLetter]]:
    """Read the snapshot with all records in quarantine, and the closed letters whose replays must be verified."""
    ends = archived_ends(connection, topic)
    archive_read, worker_read = reads_to_end(connection, topic), {}
    positions: dict[TopicPartition, int] = {}
    for topic_id, partition, next_offset, read_us in connection.execute(
        "SELECT topic_id, partition, next, read_to_end_us FROM speed.source_offsets WHERE topic = %s", (topic,)
    ):
        positions[TopicPartition(topic, topic_id, partition)] = next_offset
        worker_read[TopicPartition(topic, topic_id, partition)] = read_us
    known = ends.keys() | positions.keys() | archive_read.keys()
    cuts = {
        each: Cut(ends.get(each, 0), positions.get(each, 0), archive_read.get(each), worker_read.get(each))
        for each in sorted(known, key=lambda each: (each.topic_id, each.partition))
    }
    ids = sorted({topic_partition.topic_id for topic_partition in cuts})
    served: dict[TopicPartition, list[Served]] = {}
    for topic_id, partition, from_offset, model, policy, kernel, digest, *rules in connection.execute(
        "SELECT topic_id, partition, from_offset, model_version, policy_version, kernel_version, model_digest, "
        "rules_version, earliest_event_us FROM speed.served WHERE topic_id = ANY(%s) "
        "ORDER BY topic_id, partition, from_offset",
        (ids,),
    ):
        entry = Served(from_offset, Versions(model, policy, kernel, model_digest=digest), Rules(*rules))
        served.setdefault(TopicPartition(topic, topic_id, partition), []).append(entry)
    failed_reason = DeadLetterReason.PROCESSING_FAILED.value
    letters: dict[TopicPartition, dict[int, Letter]] = {}
    for topic_id, partition, offset, append_us, reason, *content, rules_version in connection.execute(
        'SELECT topic_id, partition, "offset", append_us, reason, raw_length, raw_sha256, rules_version '
        "FROM speed.dead_letters WHERE topic_id = ANY(%s) AND append_us >= %s",
        (ids, day_bounds_us(_day_before(start_us))[0]),
    ):
        letter = Letter(append_us, reason, Content(*content), rules_version, reason == failed_reason)
        letters.setdefault(TopicPartition(topic, topic_id, partition), {})[offset] = letter
    quarantined: dict[TopicPartition, dict[int, str]] = {}
    for topic_id, partition, offset, digest in connection.execute(
        'SELECT topic_id, partition, "offset", raw_sha256 FROM speed.dead_letters '
        "WHERE topic_id = ANY(%s) AND reason = %s",
        (ids, failed_reason),
    ):
        quarantined.setdefault(TopicPartition(topic, topic_id, partition), {})[offset] = digest
    replays: dict[TopicPartition, dict[int, LetterContents]] = {}
    replayed = []
    for topic_id, partition, offset, reason, as_topic_id, as_partition, as_offset, *contents in connection.execute(
        _CLOSINGS, (ids,)
    ):
        replay, expected = TopicPartition(topic, as_topic_id, as_partition), _contents_of(*contents)
        replays.setdefault(replay, {})[as_offset] = expected
        if reason == failed_reason:
            replayed.append(
                ReplayedLetter(TopicPartition(topic, topic_id, partition), offset, replay, as_offset, expected)
            )
    resets = read_resets(connection, topic, ids)
    earlier = trusted_maxima(
        # An event time is at most five minutes after the append time.
        {} if replayed else read_earlier_files(connection, topic, start_us - MAX_FUTURE_US),
        lambda source: served.get(source, ()),
        lambda source: quarantined.get(source, ()),
        lambda source: resets.get(source, ()),
    )
    manifest = files(connection, topic=topic, without={source: each.next_offset for source, each in earlier.items()})
    return (
        Snapshot(topic, start_us, end_us, manifest, cuts, served, letters, replays, quarantined, resets, earlier),
        replayed,
    )


def _contents_of(length: int, digest: str, corrected_length: int | None, corrected: str | None) -> LetterContents:
    correction = None if corrected_length is None or corrected is None else Content(corrected_length, corrected)
    return LetterContents(Content(length, digest), correction, is_closed=True)


def export_rows(
    connection: Connection, url: str, query: str, folder: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write the result of a query to ``0.parquet`` in a folder, in batches of bounded size.

    Args:
        connection: with an open repeatable-read transaction; the query sees the same snapshot.
        url: of the same database; the rows come by binary COPY over a connection of their own.
        query: without parameters.
        folder: created if absent.
        settings: of the query's transaction.
    """
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    snapshot = row[0] if row else ""
    folder.mkdir(parents=True, exist_ok=True)
    with adbc.connect(url) as exporting, exporting.cursor() as cursor:
        # These must be the first statements of the transaction that the driver began.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        for name, value in settings.items():
            cursor.execute(f"SET LOCAL {name} = '{value}'")
        cursor.execute(query)
        reader = cursor.fetch_record_batch()
        with pq.ParquetWriter(folder / "0.parquet", reader.schema, compression="lz4") as writer:
            for batch in reader:
                writer.write_batch(batch)


def _write_letters(snapshot: Snapshot, folder: Path) -> None:
    rows = [
        (
            *(str(topic_partition.topic_id), topic_partition.partition, offset),
            *(letter.append_us, letter.reason, *letter.content),
            *(letter.is_failed, letter.is_released, snapshot.start_us <= letter.append_us < snapshot.end_us),
        )
        for topic_partition, by_offset in snapshot.letters.items()
        for offset, letter in by_offset.items()
    ]
    _write(folder, rows, LETTER_FIELDS)


def _write_cuts(cuts: Mapping[TopicPartition, Cut], folder: Path) -> None:
    rows = [
        (str(topic_partition.topic_id), topic_partition.partition, cut.archived, cut.next)
        for topic_partition, cut in cuts.items()
    ]
    fields = [("topic_id", pa.string()), ("part", pa.int32()), ("archived", pa.int64()), ("next", pa.int64())]
    _write(folder, rows, fields)


def _write(folder: Path, rows: Sequence[tuple[object, ...]], fields: list[tuple[str, pa.DataType]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(fields)
    arrays = [pa.array(values, kind) for values, (_, kind) in zip(columns, fields, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), folder / "0.parquet")
