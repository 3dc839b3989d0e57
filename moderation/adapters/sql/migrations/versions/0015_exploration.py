"""Decisions say how likely they were to be reviewed, and which verdict exploration replaced."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_UP = """
ALTER TABLE speed.decisions ADD COLUMN inclusion_ppm integer, ADD COLUMN drawn_from text;
COMMENT ON COLUMN speed.decisions.inclusion_ppm IS
    'probability of verdict review, in ppm; null without exploration';
COMMENT ON COLUMN speed.decisions.drawn_from IS 'verdict that exploration replaced by review; null for none';
"""


def upgrade() -> None:
    """Add the columns; older rows have null."""
    op.execute(_UP)


def downgrade() -> None:
    """Drop the columns."""
    op.execute("ALTER TABLE speed.decisions DROP COLUMN inclusion_ppm, DROP COLUMN drawn_from")
