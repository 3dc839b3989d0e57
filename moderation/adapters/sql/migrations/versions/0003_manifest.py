"""The lake's manifest: its files, and the offsets that are missing from it by a person's word."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A range over places, which sort by topic id, partition and offset: ranges of two partitions never meet, ranges of one
# meet exactly when their offsets do. So one exclusion constraint does it without the extension btree_gist.
_UP = """
CREATE TYPE batch.place AS (topic_id uuid, partition integer, "offset" bigint);
CREATE TYPE batch.place_range AS RANGE (subtype = batch.place, multirange_type_name = batch.place_multirange);

CREATE TABLE batch.files (
    path text PRIMARY KEY,
    topic text NOT NULL,
    topic_id uuid NOT NULL,
    partition integer NOT NULL CHECK (partition >= 0),
    first_offset bigint NOT NULL CHECK (first_offset >= 0),
    next_offset bigint NOT NULL,
    dt date NOT NULL,
    rows bigint NOT NULL,
    bytes bigint NOT NULL CHECK (bytes > 0),
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    min_append_us bigint NOT NULL,
    max_append_us bigint NOT NULL,
    min_event_time_us bigint,
    max_event_time_us bigint,
    created_us bigint NOT NULL,
    CHECK (first_offset < next_offset),
    CHECK (rows = next_offset - first_offset),
    CHECK (min_append_us <= max_append_us),
    CHECK (min_append_us / 86400000000 = dt - DATE '1970-01-01'),
    CHECK (max_append_us / 86400000000 = dt - DATE '1970-01-01'),
    CHECK (min_event_time_us <= max_event_time_us),
    CHECK ((min_event_time_us IS NULL) = (max_event_time_us IS NULL)),
    CONSTRAINT files_never_overlap EXCLUDE USING gist (
        batch.place_range(
            ROW(topic_id, partition, first_offset)::batch.place, ROW(topic_id, partition, next_offset)::batch.place
        ) WITH &&
    )
);
CREATE INDEX files_by_source ON batch.files (topic_id, partition, next_offset);
CREATE INDEX files_by_day ON batch.files (topic, dt);
COMMENT ON TABLE batch.files IS 'the lake: a file without a row here does not exist for readers';
COMMENT ON COLUMN batch.files.path IS 'relative to the lake';
COMMENT ON COLUMN batch.files.next_offset IS 'half-open: the file holds every offset of [first_offset, next_offset)';
COMMENT ON COLUMN batch.files.dt IS 'UTC day of the broker''s append time';
COMMENT ON COLUMN batch.files.min_event_time_us IS 'of the records that parse; null when none does';

CREATE TABLE batch.gaps (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    topic text NOT NULL,
    accepted_us bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (topic_id, partition, first_offset),
    CHECK (first_offset < next_offset)
);
COMMENT ON TABLE batch.gaps IS
    'offsets [first_offset, next_offset) that were gone before they were archived; accepted by a person';
"""


def upgrade() -> None:
    """Create schema ``batch`` with the manifest."""
    op.execute("CREATE SCHEMA IF NOT EXISTS batch")
    op.execute(_UP)


def downgrade() -> None:
    """Drop the manifest; the lake's files stay, and no reader sees them."""
    op.execute("DROP TABLE batch.gaps, batch.files")
    op.execute("DROP TYPE batch.place_range")
    op.execute("DROP TYPE batch.place")
