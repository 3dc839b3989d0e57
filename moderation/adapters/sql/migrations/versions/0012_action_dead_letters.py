"""Records of topic actions that cannot be actions, stored by the archive, and a view that counts them."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE batch.action_dead_letters (
    topic_id uuid NOT NULL,
    partition integer NOT NULL CHECK (partition >= 0),
    "offset" bigint NOT NULL CHECK ("offset" >= 0),
    topic text NOT NULL,
    append_us bigint NOT NULL,
    reason text NOT NULL,
    field text NOT NULL,
    detail text NOT NULL,
    archived_us bigint NOT NULL,
    PRIMARY KEY (topic_id, partition, "offset")
);
COMMENT ON TABLE batch.action_dead_letters IS
    'records of topic actions that cannot be actions, as the archive found them; the lake has their bytes';
COMMENT ON COLUMN batch.action_dead_letters.field IS
    'that is wrong; empty where the reason is about the whole record';
COMMENT ON COLUMN batch.action_dead_letters.detail IS 'what is wrong, without the record''s text';
COMMENT ON COLUMN batch.action_dead_letters.archived_us IS 'when the archive found it';
CREATE INDEX action_dead_letters_by_time ON batch.action_dead_letters (archived_us);
CREATE VIEW serving.action_dead_letter_minutes AS
SELECT topic, archived_us - archived_us % 60000000 AS minute_us, reason, field, count(*) AS letters
  FROM batch.action_dead_letters GROUP BY 1, 2, 3, 4;
"""


def upgrade() -> None:
    """Add table and view."""
    op.execute(_UP)


def downgrade() -> None:
    """Drop them; the lake still has the records."""
    op.execute("DROP VIEW serving.action_dead_letter_minutes")
    op.execute("DROP TABLE batch.action_dead_letters")
