"""Corrections that an operator sends in place of a dead letter's record: the proof of such a replay."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add length and digest of a correction."""
    op.execute(
        "ALTER TABLE speed.dead_letters ADD COLUMN corrected_length bigint, ADD COLUMN corrected_sha256 text, "
        "ADD CHECK ((corrected_length IS NULL) = (corrected_sha256 IS NULL)) NOT VALID"
    )
    op.execute(
        "COMMENT ON COLUMN speed.dead_letters.corrected_sha256 IS "
        "'of the value that an operator sent in place of the record; its replay counts as one of this dead letter'"
    )


def downgrade() -> None:
    """Drop both."""
    op.execute("ALTER TABLE speed.dead_letters DROP COLUMN corrected_length, DROP COLUMN corrected_sha256")
