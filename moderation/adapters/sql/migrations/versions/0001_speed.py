"""The speed layer's ledger."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE speed.source_offsets (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    topic text NOT NULL,
    first bigint NOT NULL,
    next bigint NOT NULL,
    published_next bigint NOT NULL,
    PRIMARY KEY (topic_id, partition),
    CHECK (first <= next),
    CHECK (first <= published_next AND published_next <= next)
);
COMMENT ON COLUMN speed.source_offsets.first IS 'first offset this ledger accounts for';
COMMENT ON COLUMN speed.source_offsets.next IS 'first offset not yet accounted for';
COMMENT ON COLUMN speed.source_offsets.published_next IS 'first offset whose decision is not surely published';

CREATE TABLE speed.decisions (
    append_day date NOT NULL,
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    append_us bigint NOT NULL,
    comment_id text NOT NULL,
    community text NOT NULL,
    event_time_us bigint NOT NULL,
    record_id bytea NOT NULL,
    score_ppm integer NOT NULL CHECK (score_ppm BETWEEN 0 AND 1000000),
    verdict text NOT NULL CHECK (verdict IN ('allow', 'review', 'remove')),
    model_version text NOT NULL,
    policy_version text NOT NULL,
    kernel_version text NOT NULL,
    fate text NOT NULL CHECK (fate IN ('counted', 'late', 'duplicate')),
    reasons jsonb,
    PRIMARY KEY (append_day, topic_id, partition, "offset")
) PARTITION BY RANGE (append_day);
COMMENT ON COLUMN speed.decisions.append_day IS 'UTC day of the broker''s append time; the partition key';
COMMENT ON COLUMN speed.decisions.record_id IS 'SHA-256 of id, time and body';
COMMENT ON COLUMN speed.decisions.reasons IS
    'tokens that spoke for removal most, strongest first; null where allowed';

CREATE TABLE speed.dead_letters (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    append_us bigint NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    raw bytea NOT NULL,
    raw_length bigint NOT NULL,
    raw_sha256 text NOT NULL,
    PRIMARY KEY (topic_id, partition, "offset")
);
COMMENT ON COLUMN speed.dead_letters.raw IS 'the record''s first 64 KiB';

CREATE TABLE speed.served (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    from_offset bigint NOT NULL,
    model_version text NOT NULL,
    policy_version text NOT NULL,
    kernel_version text NOT NULL,
    PRIMARY KEY (topic_id, partition, from_offset)
);
COMMENT ON COLUMN speed.served.from_offset IS 'first offset this version decided';
"""


def upgrade() -> None:
    """Create the ledger's tables."""
    op.execute(_UP)


def downgrade() -> None:
    """Drop the ledger's tables."""
    op.execute("DROP TABLE speed.served, speed.dead_letters, speed.decisions, speed.source_offsets")
