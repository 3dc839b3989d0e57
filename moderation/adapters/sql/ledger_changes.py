"""SQLAlchemy metadata of the log of changed decisions and dead letters. A migration creates it; a test compares."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Identity, Integer, Table, Text, Uuid

from moderation.adapters.sql.tables import metadata

ledger_changes = Table(
    "ledger_changes",
    metadata,
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("changed_us", BigInteger, nullable=False),
    Column("login", Text, nullable=False, comment="role that logged in"),
    Column("role", Text, nullable=False, comment="role that it had set; the login if it had set none"),
    Column("operation", Text, nullable=False, comment="update, delete or retire"),
    Column("table", Text, nullable=False, comment="table or partition"),
    Column("topic_id", Uuid),
    Column("partition", Integer),
    Column("offset", BigInteger, comment="of the changed row; null for a retired day"),
    Column("append_day", Date, comment="that was retired; null for a changed row"),
    Column("rows", BigInteger, nullable=False),
    comment="changes of decisions and dead letters; a trigger writes a row for each changed row, "
    "`moderation retire` for a day",
    schema="speed",
)
