"""The tables, as SQLAlchemy sees them. Migrations make them; a test compares.

``topic_id`` is Kafka's own id of a topic: a topic made anew is another source. Offsets are half-open: a partition's
rows cover ``[first, next)``.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Index, Integer, LargeBinary, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

source_offsets = Table(
    "source_offsets",
    metadata,
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("first", BigInteger, nullable=False, comment="first offset this ledger accounts for"),
    Column("next", BigInteger, nullable=False, comment="first offset not yet accounted for"),
    Column("published_next", BigInteger, nullable=False, comment="first offset whose decision is not surely published"),
    Column(
        "newest_event_us",
        BigInteger,
        comment="largest event time of the comments below next; the watermark lies ten minutes before it",
    ),
    Column("panes_published_us", BigInteger, comment="panes that end at or before this are surely published"),
    schema="speed",
)

decisions = Table(
    "decisions",
    metadata,
    Column("append_day", Date, primary_key=True, comment="UTC day of the broker's append time; the partition key"),
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("append_us", BigInteger, nullable=False),
    Column("comment_id", Text, nullable=False),
    Column("community", Text, nullable=False),
    Column("event_time_us", BigInteger, nullable=False),
    Column("record_id", LargeBinary, nullable=False, comment="SHA-256 of id, time and body"),
    Column("score_ppm", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("kernel_version", Text, nullable=False),
    Column("fate", Text, nullable=False),
    Column("reasons", JSONB, comment="tokens that spoke for removal most, strongest first; null where allowed"),
    schema="speed",
    postgresql_partition_by="RANGE (append_day)",
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("append_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False, comment="the record's first 64 KiB"),
    Column("raw_length", BigInteger, nullable=False),
    Column("raw_sha256", Text, nullable=False),
    Column("replayed_as_partition", Integer),
    Column("replayed_as_offset", BigInteger, comment="where the decision on its replay lies"),
    schema="speed",
)

panes = Table(
    "panes",
    metadata,
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("start_us", BigInteger, primary_key=True),
    Column("community", Text, primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("policy_version", Text, primary_key=True),
    Column("comments", BigInteger, nullable=False),
    Column("reviews", BigInteger, nullable=False),
    Column("removals", BigInteger, nullable=False),
    Column("score_sum", BigInteger, nullable=False),
    Column(
        "late",
        BigInteger,
        nullable=False,
        comment="decisions that came after the pane was closed; not in the sums",
    ),
    Column("first_offset", BigInteger, comment="smallest offset of a counted decision"),
    schema="speed",
)

gaps = Table(
    "gaps",
    metadata,
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("first_offset", BigInteger, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("accepted_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    comment="offsets [first_offset, next_offset) that the topic no longer had; accepted by a person",
    schema="speed",
)

served = Table(
    "served",
    metadata,
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("from_offset", BigInteger, primary_key=True, comment="first offset this version decided"),
    Column("model_version", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("kernel_version", Text, nullable=False),
    schema="speed",
)

files = Table(
    "files",
    metadata,
    Column("path", Text, primary_key=True, comment="relative to the lake"),
    Column("topic", Text, nullable=False),
    Column("topic_id", Uuid, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("first_offset", BigInteger, nullable=False),
    Column(
        "next_offset",
        BigInteger,
        nullable=False,
        comment="half-open: the file holds every offset of [first_offset, next_offset)",
    ),
    Column("dt", Date, nullable=False, comment="UTC day of the broker's append time"),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("min_append_us", BigInteger, nullable=False),
    Column("max_append_us", BigInteger, nullable=False),
    Column("min_event_time_us", BigInteger, comment="of the records that parse; null when none does"),
    Column("max_event_time_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Index("files_by_source", "topic_id", "partition", "next_offset"),
    Index("files_by_day", "topic", "dt"),
    comment="the lake: a file without a row here does not exist for readers",
    schema="batch",
)

archive_gaps = Table(
    "gaps",
    metadata,
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("first_offset", BigInteger, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("accepted_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    comment="offsets [first_offset, next_offset) that were gone before they were archived; accepted by a person",
    schema="batch",
)
