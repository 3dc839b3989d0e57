"""Table of the archive's readings, beside the manifest."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table, Text, Uuid

from moderation.adapters.sql.tables import metadata

archive_reads = Table(
    "archive_reads",
    metadata,
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("next_offset", BigInteger, nullable=False, comment="end of the log that the archive reached"),
    Column(
        "read_to_end_us",
        BigInteger,
        nullable=False,
        comment="every record appended before this broker time is in the lake, in a hole or in a gap",
    ),
    comment="up to which broker time the archive has read each partition to its end",
    schema="batch",
)
