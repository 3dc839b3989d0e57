"""What proves a replay: corrections that an operator sends in place of a dead letter's record; the replay's topic."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add length and digest of a correction, and the id of the topic that a replay was sent to."""
    op.execute(
        "ALTER TABLE speed.dead_letters ADD COLUMN corrected_length bigint, ADD COLUMN corrected_sha256 text, "
        "ADD COLUMN replayed_as_topic_id uuid"
    )
    op.execute(
        "COMMENT ON COLUMN speed.dead_letters.corrected_sha256 IS "
        "'of the value that an operator sent in place of the record'"
    )
    op.execute(
        "COMMENT ON COLUMN speed.dead_letters.replayed_as_topic_id IS "
        "'of the replay; null in older rows: the dead letter''s topic'"
    )


def downgrade() -> None:
    """Drop all of them."""
    op.execute(
        "ALTER TABLE speed.dead_letters DROP COLUMN corrected_length, DROP COLUMN corrected_sha256, "
        "DROP COLUMN replayed_as_topic_id"
    )
