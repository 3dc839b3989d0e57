"""SQLAlchemy metadata of the tables about days that cannot be recomputed. Migrations create them; a test compares."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Table, Text

from moderation.adapters.sql.tables import metadata

retired_days = Table(
    "retired_days",
    metadata,
    Column("append_day", Date, primary_key=True),
    Column("retired_us", BigInteger, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    comment="append days whose decisions were dropped by `moderation retire`, of all topics",
    schema="speed",
)

frozen_days = Table(
    "frozen_days",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("frozen_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column(
        "decided",
        BigInteger,
        nullable=False,
        comment="comments of the day, counted or late, that the last run knew; speed.panes has the later ones besides",
    ),
    comment="days that keep the results of their last run, because ledger rows of them were dropped",
    schema="batch",
)

stored_scores = Table(
    "stored_scores",
    metadata,
    Column("run_id", ForeignKey("batch.runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("reason", Text, nullable=False, comment="why the version cannot be opened"),
    comment="by run and version that cannot be opened any more: rows whose scores and verdicts are those of the ledger",
    schema="batch",
)
