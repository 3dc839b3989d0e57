"""SQLAlchemy metadata of the tables. Migrations create them; a test compares.

``topic_id`` is Kafka's id of a topic; a re-created topic has a new id. Offset ranges are half-open: the rows of a
partition cover ``[first, next)``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()


def _holes(schema: str, by: str) -> Table:
    return Table(
        "holes",
        metadata,
        Column("topic_id", Uuid, primary_key=True),
        Column("partition", Integer, primary_key=True),
        Column("first_offset", BigInteger, primary_key=True),
        Column("next_offset", BigInteger, nullable=False),
        Column("kind", Text, nullable=False),
        Column("append_us", BigInteger, nullable=False, comment="append time of the batch that shows it"),
        Column("cause", Text, nullable=False, comment="of unreadable ones; empty where the kind says it all"),
        Index("holes_unreadable", "append_us", postgresql_where=text("kind = 'unreadable'")),
        comment=f"offsets [first_offset, next_offset) without a record, as the log shows it: {by}",
        schema=schema,
    )


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
        comment="running maximum of the event times below next; the watermark is ten minutes less",
    ),
    Column(
        "candidate_event_us",
        BigInteger,
        comment="event time more than an hour above newest_event_us that no other comment has confirmed yet",
    ),
    Column("candidate_comment_id", Text, comment="of the comment with candidate_event_us"),
    Column("panes_published_us", BigInteger, comment="panes that end at or before this are surely published"),
    Column("attempt_at", BigInteger, comment="next when the last assignment began; null when it was given up"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="assignments that began at attempt_at"),
    Column(
        "read_to_end_us",
        BigInteger,
        comment="latest broker time at which every record appended so far was below next; null if unknown",
    ),
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
    Column("stored_us", BigInteger, comment="when the transaction that stored it began"),
    Column("repairs", Text, comment="what was changed to read the record, separated by commas; null for nothing"),
    Column("inclusion_ppm", Integer, comment="probability of verdict review, in ppm; null without exploration"),
    Column("drawn_from", Text, comment="verdict that exploration replaced by review; null for none"),
    Index("decisions_by_event_time", "event_time_us", postgresql_using="brin"),
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
    Column("corrected_length", BigInteger),
    Column("corrected_sha256", Text, comment="of the value that an operator sent in place of the record"),
    Column("replayed_as_topic_id", Uuid, comment="of the replay; null in older rows: the dead letter's topic"),
    Column("rules_version", Integer, comment="of the rules that refused it; null in older rows and after a skip"),
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
    Column(
        "reopened_until_us",
        BigInteger,
        comment="windows with this pane that end at or before this were closed when a comment was counted; "
        "null for none",
    ),
    Index(
        "panes_reopened",
        "topic_id",
        "community",
        "start_us",
        postgresql_where=text("reopened_until_us IS NOT NULL"),
    ),
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

holes = _holes("speed", "the worker read past them")

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
        comment="half-open: the file holds every record of [first_offset, next_offset); "
        "batch.holes has the other offsets",
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
    Column(
        "event_days",
        ARRAY(Date),
        comment="UTC days of the event times of the records that parse; null for files of before this column",
    ),
    Column("rules_version", Integer, nullable=False, server_default="1", comment="that its records were parsed by"),
    Column("earliest_event_us", BigInteger, nullable=False, server_default="0", comment="earlier is past_dated"),
    Column(
        "maximum_before",
        JSONB,
        comment="running maximum of event times that the archive knew before the file: "
        "[newest_event_us, candidate_event_us, candidate_comment_id]; null for files archived before it was noted",
    ),
    Column("maximum_after", JSONB, comment="the same after the file; reconciliation uses it if the first is right"),
    Index("files_by_source", "topic_id", "partition", "next_offset"),
    Index("files_by_day", "topic", "dt"),
    comment="the lake: a file without a row here does not exist for readers",
    schema="batch",
)

watermark_resets = Table(
    "watermark_resets",
    metadata,
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("reset_us", BigInteger, primary_key=True),
    Column("newest_event_us", BigInteger, nullable=False),
    Column("previous_event_us", BigInteger, comment="the running maximum before; null if there was none"),
    Column("reason", Text, nullable=False),
    comment='from "offset" on the running maximum starts again at newest_event_us, by `moderation reset-watermark`; '
    "of several at one offset the last is in force",
    schema="speed",
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

archive_holes = _holes("batch", "the archive read past them")

action_dead_letters = Table(
    "action_dead_letters",
    metadata,
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("append_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("field", Text, nullable=False, comment="that is wrong; empty where the reason is about the whole record"),
    Column("detail", Text, nullable=False, comment="what is wrong, without the record's text"),
    Column("archived_us", BigInteger, nullable=False, comment="when the archive found it"),
    Index("action_dead_letters_by_time", "archived_us"),
    comment="records of topic actions that cannot be actions, as the archive found them; the lake has their bytes",
    schema="batch",
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("begun_us", BigInteger, nullable=False, comment="of the last run that came to these results"),
    Column("finished_us", BigInteger, nullable=False, comment="of the last run that came to these results"),
    Column(
        "cut",
        JSONB,
        nullable=False,
        comment="as last seen, by topic id and partition: ends of lake and ledger",
    ),
    Column(
        "digest",
        Text,
        nullable=False,
        comment="SHA-256 of state, panes, causes and rows: equal results are one revision",
    ),
    Column("panes", BigInteger, nullable=False),
    Column("batch_comments", BigInteger, nullable=False),
    Column("speed_comments", BigInteger, nullable=False),
    Column("causes", JSONB, nullable=False, comment="rows by cause"),
    Column("lost", BigInteger, nullable=False),
    Column("unexplained", BigInteger, nullable=False),
    Column("phantom", BigInteger, nullable=False),
    Column(
        "residual",
        BigInteger,
        nullable=False,
        comment="panes that are not what their ledger rows add up to",
    ),
    Column("agreement", JSONB, nullable=False, comment="by model version and last action: verdicts"),
    Column("kernel_version", Text, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("differences_url", Text, nullable=False),
    Column("started_by", Text, nullable=False, comment="address of the Airflow run, or the command"),
    Column(
        "other_defects", BigInteger, nullable=False, server_default="0", comment="rows of the other defects in causes"
    ),
    Column(
        "not_recomputed",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="records that only the batch cannot parse or score; a defect",
    ),
    UniqueConstraint("topic", "day", "revision"),
    comment="reconciliations of UTC days of event time; the numbers of a revision never change",
    schema="batch",
)

reconciled_panes = Table(
    "panes",
    metadata,
    Column("run_id", ForeignKey("batch.runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("start_us", BigInteger, primary_key=True),
    Column("community", Text, primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("policy_version", Text, primary_key=True),
    Column("batch_comments", BigInteger, nullable=False),
    Column("batch_reviews", BigInteger, nullable=False),
    Column("batch_removals", BigInteger, nullable=False),
    Column("batch_score_sum", BigInteger, nullable=False),
    Column("speed_comments", BigInteger, nullable=False),
    Column("speed_reviews", BigInteger, nullable=False),
    Column("speed_removals", BigInteger, nullable=False),
    Column("speed_score_sum", BigInteger, nullable=False),
    Column("residual_comments", BigInteger, nullable=False),
    Column("residual_reviews", BigInteger, nullable=False),
    Column("residual_removals", BigInteger, nullable=False),
    Column("residual_score_sum", BigInteger, nullable=False),
    Column(
        "late",
        BigInteger,
        nullable=False,
        comment="of the batch's comments those that the stream was right to leave out",
    ),
    Column(
        "causes",
        JSONB,
        nullable=False,
        comment="by cause: rows, and what they add to batch less speed in comments, reviews, removals and score_sum",
    ),
    Column(
        "stored_by_age",
        ARRAY(BigInteger),
        nullable=False,
        comment="comments the speed layer had stored 0 min, 5 min, 15 min, 1 h, 6 h and 24 h after the end of the "
        "pane's hour",
    ),
    schema="batch",
)

differences = Table(
    "differences",
    metadata,
    Column("run_id", ForeignKey("batch.runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("topic_id", Uuid, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("start_us", BigInteger, primary_key=True),
    Column("community", Text, primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("policy_version", Text, primary_key=True),
    Column("cause", Text, primary_key=True),
    Column("comments", BigInteger, nullable=False, comment="batch less speed, like the three measures after it"),
    Column("reviews", BigInteger, nullable=False),
    Column("removals", BigInteger, nullable=False),
    Column("score_sum", BigInteger, nullable=False),
    Column("comment_id", Text),
    Column("event_time_us", BigInteger, nullable=False),
    Column("batch_score_ppm", Integer),
    Column("batch_verdict", Text),
    Column("speed_score_ppm", Integer),
    Column("speed_verdict", Text),
    Column("speed_fate", Text),
    comment="rows behind the causes, at most 1,000 by pane and cause; all of them are in the run's Parquet file",
    schema="batch",
)
