"""Offsets without a record, recorded by the speed layer and by the archive; attempts at the next offset."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE {schema}.holes (
    topic_id uuid NOT NULL,
    partition integer NOT NULL CHECK (partition >= 0),
    first_offset bigint NOT NULL CHECK (first_offset >= 0),
    next_offset bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('marker', 'aborted', 'deleted', 'unreadable')),
    append_us bigint NOT NULL,
    cause text NOT NULL,
    PRIMARY KEY (topic_id, partition, first_offset),
    CHECK (first_offset < next_offset)
);
COMMENT ON TABLE {schema}.holes IS
    'offsets [first_offset, next_offset) without a record, as the log shows it: {by}';
COMMENT ON COLUMN {schema}.holes.append_us IS 'append time of the batch that shows it';
COMMENT ON COLUMN {schema}.holes.cause IS 'of unreadable ones; empty where the kind says it all';
CREATE INDEX holes_unreadable ON {schema}.holes (append_us) WHERE kind = 'unreadable';
"""
_ATTEMPTS = """
ALTER TABLE speed.source_offsets ADD COLUMN attempt_at bigint, ADD COLUMN attempts integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN speed.source_offsets.attempt_at IS 'next when the last assignment began; null when it was given up';
COMMENT ON COLUMN speed.source_offsets.attempts IS 'assignments that began at attempt_at';
"""
_CHECKED = """
DO $$
DECLARE found text;
BEGIN
    SELECT conname INTO STRICT found FROM pg_constraint
     WHERE conrelid = 'batch.files'::regclass AND contype = 'c'
       AND pg_get_constraintdef(oid) LIKE '%rows {old} (next_offset - first_offset)%';
    EXECUTE format('ALTER TABLE batch.files DROP CONSTRAINT %I', found);
END $$;
ALTER TABLE batch.files ADD CHECK (rows > 0 AND rows {new} next_offset - first_offset);
COMMENT ON COLUMN batch.files.next_offset IS 'half-open: {comment}';
"""


def upgrade() -> None:
    """Add both tables of holes, which a file may span, and the count of attempts."""
    op.execute(_TABLE.format(schema="speed", by="the worker read past them"))
    op.execute(_TABLE.format(schema="batch", by="the archive read past them"))
    comment = "the file holds every record of [first_offset, next_offset); batch.holes has the other offsets"
    op.execute(_CHECKED.format(old="=", new="<=", comment=comment))
    # Last: workers wait for this lock.
    op.execute(_ATTEMPTS)


def downgrade() -> None:
    """Drop all of it; refused while a file spans holes."""
    comment = "the file holds every offset of [first_offset, next_offset)"
    op.execute(_CHECKED.format(old="<=", new="=", comment=comment))
    op.execute("DROP TABLE speed.holes, batch.holes")
    op.execute("ALTER TABLE speed.source_offsets DROP COLUMN attempt_at, DROP COLUMN attempts")
