"""When each job of the batch layer last did its work, had none, or failed; alerts read it through a view."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE batch.jobs (
    job text PRIMARY KEY,
    first_us bigint NOT NULL,
    done_us bigint,
    skipped_us bigint,
    skipped_reason text NOT NULL DEFAULT '',
    failed_us bigint,
    failed_reason text NOT NULL DEFAULT ''
);
COMMENT ON TABLE batch.jobs IS 'one row for each job of the batch layer: the last outcome of each kind';
COMMENT ON COLUMN batch.jobs.first_us IS 'first outcome of the job';
COMMENT ON COLUMN batch.jobs.done_us IS 'last time the job did its work';
COMMENT ON COLUMN batch.jobs.skipped_us IS 'last time the job did nothing, for the reason beside';
COMMENT ON COLUMN batch.jobs.failed_us IS 'last time an attempt failed, with the error beside';
CREATE VIEW serving.jobs AS
SELECT job, first_us, done_us, skipped_us, skipped_reason, failed_us, failed_reason FROM batch.jobs;
"""


def upgrade() -> None:
    """Add table and view."""
    op.execute(_UP)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP VIEW serving.jobs")
    op.execute("DROP TABLE batch.jobs")
