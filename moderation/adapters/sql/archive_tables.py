"""Tables of the archive beside the manifest: readings, ownership of the lake, files being written, checks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table, Text, Uuid

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
