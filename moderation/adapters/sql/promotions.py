"""Records of promotions and rollbacks: stored before the alias moves, confirmed afterwards; the history of serving."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from psycopg.rows import dict_row
from sqlalchemy import BigInteger, Column, Index, Table, Text

from moderation.adapters.registry.promotion_record import SignedRecord, digest_of
from moderation.adapters.sql.connection import Connection
from moderation.adapters.sql.tables import metadata

Kind = Literal["first", "promote", "rollback"]

promotions = Table(
    "promotions",
    metadata,
    Column("request_id", Text, primary_key=True, comment="of the DAG run, or of one call of the command"),
    Column("topic", Text, nullable=False, comment="whose workers serve the model"),
    Column("model_name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("replaced", Text, comment="version that had the alias before; null if none had it"),
    Column("kind", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column(
        "gate",
        Text,
        nullable=False,
        comment="result of the gate's newest run, else verdict of the certificate, as known when it was requested",
    ),
    Column("gate_reasons", Text, nullable=False, comment="why the gate stopped the version; empty if it did not"),
    Column("model_digest", Text, nullable=False),
    Column("requested_from", Text, nullable=False, comment="address of the Airflow run, or the command"),
    Column("requested_us", BigInteger, nullable=False),
    Column("moved_us", BigInteger, comment="when the alias had moved; null if that is not confirmed"),
    Column("record", Text, comment="signed text of the request, canonical JSON; null before signed records"),
    Column("key_id", Text, comment="of the Ed25519 key that signed the record; null without signature"),
    Column("signature", Text, comment="of the record, hexadecimal; null without signature"),
    Index("promotions_by_time", "topic", "requested_us"),
    comment="requests to move the alias production, stored before it moves; a repeated request adds no row",
    schema="batch",
)


@dataclass(frozen=True, slots=True)
class PromotionRecord:
    """A request to move the alias ``production``; the fields are the columns of ``batch.promotions``.

    Attributes:
        request_id: of the DAG run, or of one call of the command; a repeated request adds no row.
        topic: full name of the topic whose workers serve the model.
        model_name: the registered model.
        version: number of the version that gets the alias.
        replaced: number of the version that had it; None if none had it.
        kind: ``first`` for the first version of a model, ``promote`` or ``rollback``.
        requested_by: who requested it.
        reason: why.
        gate: ``passed``, ``failed`` or ``too_few``; without a run of the gate the certificate's verdict.
        gate_reasons: why the gate stopped the version; empty if it did not.
        model_digest: SHA-256 of the model file, hexadecimal.
        requested_from: URL of the Airflow run, or the command.
        requested_us: time of the request, in microseconds.
    """

    request_id: str
    topic: str
    model_name: str
    version: str
    replaced: str | None
    kind: Kind
    requested_by: str
    reason: str
    gate: str
    gate_reasons: str
    model_digest: str
    requested_from: str
    requested_us: int


@dataclass(frozen=True, slots=True)
class ServingPeriod:
    """A period in which a version served, or was to serve; the fields are columns of ``serving.model_history``.

    Attributes:
        version: number of the version.
        since_us: when the alias moved, or without a record the time of the first decision; None if the ledger no
            longer has it.
        until_us: start of the next period; None for the last one.
        first_decision_us: time of its first decision; None if it has none, or the ledger no longer has it.
        from_offsets: first offset that it decided, by partition; None without a decision.
        replaced: version that had the alias before; None if none had it, or without a record.
        kind: ``first``, ``promote``, ``rollback``; ``by hand`` if the alias was moved in MLflow; ``not recorded`` if
            that was before the oldest record, or there is none.
        promoted_by: who requested it.
        reason, gate, gate_reasons, model_digest, requested_from: of the record; None without one.
        is_confirmed: whether the record says that the alias moved.
        override: reason and end of the override by which it served without certificate; None if it did not.
    """

    version: str
    since_us: int | None
    until_us: int | None
    first_decision_us: int | None
    from_offsets: dict[str, int] | None
    replaced: str | None
    kind: str
    promoted_by: str
    reason: str | None
    gate: str | None
    gate_reasons: str | None
    model_digest: str | None
    requested_from: str | None
    is_confirmed: bool
    override: str | None = None


_COLUMNS = tuple(PromotionRecord.__slots__)
_SIGNED = ("record", "key_id", "signature")
_INSERT = (
    f"INSERT INTO batch.promotions ({', '.join((*_COLUMNS, *_SIGNED))}) "  # noqa: S608 - fixed names
    f"VALUES ({', '.join(f'%({name})s' for name in (*_COLUMNS, *_SIGNED))}) ON CONFLICT (request_id) DO NOTHING"
)
_NEWEST_RECORD = """
SELECT record FROM batch.promotions
 WHERE topic = %(topic)s AND model_name = %(model_name)s AND record IS NOT NULL
 ORDER BY requested_us DESC, request_id DESC LIMIT 1
"""
Sign = Callable[[Mapping[str, Any]], SignedRecord | None]
"""Signs the columns of a record; None without a key."""
# An older request that was not confirmed was given up, or a later one took its place.
_CONFIRM = """
UPDATE batch.promotions SET moved_us = %(moved_us)s
 WHERE moved_us IS NULL AND version = %(version)s AND request_id = (
       SELECT request_id FROM batch.promotions WHERE topic = %(topic)s AND model_name = %(model_name)s
        ORDER BY requested_us DESC, request_id DESC LIMIT 1)
"""
_IS_RECORDED = """
SELECT EXISTS (SELECT FROM batch.promotions
                WHERE topic = %(topic)s AND model_name = %(model_name)s AND version = %(version)s
                  AND requested_us <= %(moved_us)s AND coalesce(moved_us, %(moved_us)s) >= %(moved_us)s)
"""


def store_request(connection: Connection, record: PromotionRecord, sign: Sign) -> SignedRecord | None:
    """Store a request before the alias moves.

    The same request adds no row until it is confirmed. The alias moves again for a confirmed one only if somebody
    cleared the tasks of its DAG run: that is another promotion, and its id gets a number.

    Args:
        connection: to the database.
        record: the request.
        sign: signs its columns and the digest of the record before it, ``after``.

    Returns:
        The signed record of the row; None if it is not signed.
    """
    values = {name: _storable(value) for name, value in asdict(record).items()}
    with connection.transaction():
        for attempt in itertools.count(1):
            request_id = record.request_id if attempt == 1 else f"{record.request_id} ({attempt})"
            is_stored, signed = _insert(connection, {**values, "request_id": request_id}, sign)
            if is_stored:
                return signed
            row = connection.execute(
                "SELECT moved_us, record, key_id, signature FROM batch.promotions WHERE request_id = %s", (request_id,)
            ).fetchone()
            if row is not None and row[0] is None:
                return _signed(*row[1:])
    raise AssertionError("unreachable")


def store_recovered(connection: Connection, record: PromotionRecord, sign: Sign) -> SignedRecord | None:
    """Store a promotion that happened without a record, at ``record.requested_us``. Idempotent.

    Returns:
        The signed record of a new row; None if it is not signed, or the row is not new.
    """
    values = {name: _storable(value) for name, value in asdict(record).items()}
    with connection.transaction():
        is_stored, signed = _insert(connection, values, sign)
        if is_stored:
            connection.execute(
                "UPDATE batch.promotions SET moved_us = requested_us WHERE request_id = %s", (record.request_id,)
            )
        return signed


def _insert(connection: Connection, values: Mapping[str, Any], sign: Sign) -> tuple[bool, SignedRecord | None]:
    """Sign and insert a row; return whether it is new, and its record."""
    newest = connection.execute(_NEWEST_RECORD, values).fetchone()
    signed = sign({**values, "after": "" if newest is None else digest_of(newest[0])})
    columns = dict.fromkeys(_SIGNED) if signed is None else asdict(signed)
    is_stored = connection.execute(_INSERT, {**values, **columns}).rowcount == 1
    return is_stored, signed if is_stored else None


def read_records(
    connection: Connection, topic: str, model_name: str
) -> list[tuple[PromotionRecord, SignedRecord | None]]:
    """Read all records of a model, oldest first, each with its signed text; None if it is not signed."""
    rows = connection.execute(
        f"SELECT {', '.join((*_COLUMNS, *_SIGNED))} FROM batch.promotions "  # noqa: S608 - fixed names
        "WHERE topic = %s AND model_name = %s ORDER BY requested_us, request_id",
        (topic, model_name),
    ).fetchall()
    return [(PromotionRecord(*row[: len(_COLUMNS)]), _signed(*row[len(_COLUMNS) :])) for row in rows]


def _signed(record: str | None, key_id: str | None, signature: str | None) -> SignedRecord | None:
    if record is None and key_id is None and signature is None:
        return None
    return SignedRecord(record or "", key_id or "", signature or "")


def confirm(connection: Connection, *, topic: str, model_name: str, version: str, moved_us: int) -> bool:
    """Store that the alias moved, if the newest request is for this version and is not confirmed. Idempotent.

    Args:
        connection: to the database.
        topic: full name of the topic whose workers serve the model.
        model_name: the registered model.
        version: number of the version that has the alias ``production``.
        moved_us: when it got it, in microseconds.

    Returns:
        Whether a request was confirmed.
    """
    values = {"topic": topic, "model_name": model_name, "version": version, "moved_us": moved_us}
    return connection.execute(_CONFIRM, values).rowcount == 1


def is_recorded(connection: Connection, *, topic: str, model_name: str, version: str, moved_us: int) -> bool:
    """Return whether a record covers a promotion whose time is known from the tags of the version in MLflow."""
    values = {"topic": topic, "model_name": model_name, "version": version, "moved_us": moved_us}
    return connection.execute(_IS_RECORDED, values).fetchone() == (True,)


def has_served(connection: Connection, *, topic: str, model_name: str, version: str) -> bool:
    """Return whether a confirmed record says that a version got the alias ``production``."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM batch.promotions WHERE topic = %s AND model_name = %s AND version = %s "
        "AND moved_us IS NOT NULL)",
        (topic, model_name, version),
    ).fetchone()
    return row == (True,)


def read_history(connection: Connection, topic: str, model_name: str, most: int = 100) -> list[ServingPeriod]:
    """Read the newest periods of serving, newest first.

    Args:
        connection: to the database.
        topic: full name of the topic.
        model_name: the registered model; periods without a record belong to it, too.
        most: maximum number of periods.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        rows: Sequence[dict[str, Any]] = cursor.execute(
            f"SELECT {', '.join(ServingPeriod.__slots__)} FROM serving.model_history "  # noqa: S608 - fixed names
            "WHERE topic = %s AND coalesce(model_name, %s) = %s "
            "ORDER BY since_us DESC NULLS LAST, version DESC LIMIT %s",
            (topic, model_name, model_name, most),
        ).fetchall()
    return [ServingPeriod(**row) for row in rows]


def _storable(value: object) -> object:
    """Return a value without NUL characters, which PostgreSQL does not store in text."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
