"""Up to which broker time the archive has read each partition to its end: a day is final by this evidence."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE batch.archive_reads (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    topic text NOT NULL,
    next_offset bigint NOT NULL,
    read_to_end_us bigint NOT NULL,
    PRIMARY KEY (topic_id, partition)
);
COMMENT ON TABLE batch.archive_reads IS
    'up to which broker time the archive has read each partition to its end';
COMMENT ON COLUMN batch.archive_reads.next_offset IS 'end of the log that the archive reached';
COMMENT ON COLUMN batch.archive_reads.read_to_end_us IS
    'every record appended before this broker time is in the lake, in a hole or in a gap';
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(_UP)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE batch.archive_reads")
