"""Tables of the batch layer beside the manifest: readings, ownership of the lake, files, checks, published topics."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

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

published_checks = Table(
    "published_checks",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("published", Text, primary_key=True),
    Column("compared", BigInteger, nullable=False, comment="rows of the ledger that must be on the topic"),
    Column("unpublished", BigInteger, nullable=False, comment="of these the rows that the topic lacks"),
    Column(
        "published_otherwise",
        BigInteger,
        nullable=False,
        comment="rows that the topic has with another key or value",
    ),
    Column("published_unknown", BigInteger, nullable=False, comment="positions on the topic that the ledger lacks"),
    Column("examples", JSONB, nullable=False, comment="the first positions by kind of difference"),
    Column("skipped", Text, comment="why nothing was compared; null if it was"),
    Column("checked_us", BigInteger, nullable=False),
    Column(
        "read_to",
        JSONB,
        nullable=False,
        server_default="{}",
        comment="ends of the partitions of the published topic that were read, by its id and partition",
    ),
    comment="last comparison of a published topic with the ledger: by append day of decisions, by day of event time "
    "of panes",
    schema="batch",
)

manifest_identity = Table(
    "manifest_identity",
    metadata,
    Column("manifest_id", Uuid, primary_key=True),
    comment="one row: with the identity of the PostgreSQL server, it identifies this database as owner of a lake",
    schema="batch",
)

lake_claims = Table(
    "lake_claims",
    metadata,
    Column("claimed_us", BigInteger, primary_key=True, autoincrement=False),
    Column("lake_url", Text, nullable=False),
    Column("owner", Uuid, nullable=False),
    Column("previous_owner", Uuid, comment="identity of the owner before; null if the lake had none"),
    Column("reason", Text, nullable=False),
    comment="when this database became the owner of a lake, and why",
    schema="batch",
)

written_paths = Table(
    "written_paths",
    metadata,
    Column("path", Text, primary_key=True),
    Column("written_us", BigInteger, nullable=False),
    comment="files that an archiver began to write and that are not in the manifest; only these are ever removed",
    schema="batch",
)

file_checks = Table(
    "file_checks",
    metadata,
    Column("path", ForeignKey("batch.files.path", ondelete="CASCADE"), primary_key=True),
    Column("checked_us", BigInteger, nullable=False),
    comment="when every byte of a file of the lake was last compared with its SHA-256",
    schema="batch",
)
