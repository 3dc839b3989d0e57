"""The candidate of a partition's running maximum, the maximum around each file, and resets by an operator."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_CHANGES = """
ALTER TABLE speed.source_offsets ADD COLUMN candidate_event_us bigint, ADD COLUMN candidate_comment_id text;
COMMENT ON COLUMN speed.source_offsets.newest_event_us IS
    'running maximum of the event times below next; the watermark is ten minutes less';
COMMENT ON COLUMN speed.source_offsets.candidate_event_us IS
    'event time more than an hour above newest_event_us that no other comment has confirmed yet';
COMMENT ON COLUMN speed.source_offsets.candidate_comment_id IS 'of the comment with candidate_event_us';
CREATE TABLE speed.watermark_resets (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    reset_us bigint NOT NULL,
    newest_event_us bigint NOT NULL,
    previous_event_us bigint,
    reason text NOT NULL,
    PRIMARY KEY (topic_id, partition, "offset", reset_us)
);
COMMENT ON TABLE speed.watermark_resets IS
    'from "offset" on the running maximum starts again at newest_event_us, by `moderation reset-watermark`; of several '
    'at one offset the last is in force';
COMMENT ON COLUMN speed.watermark_resets.previous_event_us IS 'the running maximum before; null if there was none';
ALTER TABLE batch.files ADD COLUMN maximum_before jsonb, ADD COLUMN maximum_after jsonb;
COMMENT ON COLUMN batch.files.maximum_before IS
    'running maximum of event times that the archive knew before the file: '
    '[newest_event_us, candidate_event_us, candidate_comment_id]; null for files archived before it was noted';
COMMENT ON COLUMN batch.files.maximum_after IS 'the same after the file; reconciliation uses it if the first is right';
"""


def upgrade() -> None:
    """Add the columns and the table; a ledger of the version before has no candidate."""
    op.execute(_CHANGES)


def downgrade() -> None:
    """Drop them."""
    op.execute("ALTER TABLE batch.files DROP COLUMN maximum_before, DROP COLUMN maximum_after")
    op.execute("DROP TABLE speed.watermark_resets")
    op.execute("ALTER TABLE speed.source_offsets DROP COLUMN candidate_event_us, DROP COLUMN candidate_comment_id")
