"""Event time: panes, watermarks, gaps, replayed dead letters, and windows as views."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UP = """
ALTER TABLE speed.source_offsets
    ADD COLUMN newest_event_us bigint,
    ADD COLUMN panes_published_us bigint;
COMMENT ON COLUMN speed.source_offsets.newest_event_us IS
    'largest event time of the comments below next; the watermark lies ten minutes before it';
COMMENT ON COLUMN speed.source_offsets.panes_published_us IS
    'panes that end at or before this are surely published';

CREATE TABLE speed.panes (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    community text NOT NULL,
    start_us bigint NOT NULL CHECK (start_us % 300000000 = 0),
    model_version text NOT NULL,
    policy_version text NOT NULL,
    comments bigint NOT NULL,
    reviews bigint NOT NULL,
    removals bigint NOT NULL,
    score_sum bigint NOT NULL,
    late bigint NOT NULL,
    first_offset bigint,
    PRIMARY KEY (topic_id, partition, start_us, community, model_version, policy_version)
);
COMMENT ON COLUMN speed.panes.late IS 'decisions that came after the pane was closed; not in the sums';
COMMENT ON COLUMN speed.panes.first_offset IS 'smallest offset of a counted decision';

ALTER TABLE speed.dead_letters
    ADD COLUMN replayed_as_partition integer,
    ADD COLUMN replayed_as_offset bigint;
COMMENT ON COLUMN speed.dead_letters.replayed_as_offset IS 'where the decision on its replay lies';

CREATE TABLE speed.gaps (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    accepted_us bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (topic_id, partition, first_offset),
    CHECK (first_offset < next_offset)
);
COMMENT ON TABLE speed.gaps IS 'offsets [first_offset, next_offset) that the topic no longer had; accepted by a person';
"""

# A window is a sum of panes; a pane lies in one window of an hour that starts on the hour, and in the twelve windows of
# an hour that start every five minutes. It is closed once every partition's watermark has reached its end.
_VIEW = """
CREATE VIEW serving.{name} AS
SELECT w.topic_id, w.community, w.start_us, w.start_us + 3600000000 AS end_us,
       w.comments, w.reviews, w.removals, w.score_sum, w.late,
       (SELECT bool_and(coalesce(o.newest_event_us - 600000000 >= w.start_us + 3600000000, false))
          FROM speed.source_offsets o WHERE o.topic_id = w.topic_id) AS is_closed
  FROM (SELECT p.topic_id, p.community, s.start_us,
               sum(p.comments)::bigint AS comments, sum(p.reviews)::bigint AS reviews,
               sum(p.removals)::bigint AS removals, sum(p.score_sum)::bigint AS score_sum, sum(p.late)::bigint AS late
          FROM speed.panes p CROSS JOIN LATERAL ({starts}) AS s(start_us)
         GROUP BY p.topic_id, p.community, s.start_us) w;
"""
_TUMBLING = "SELECT p.start_us - p.start_us % 3600000000"
_HOPPING = "SELECT generate_series(p.start_us - 3300000000, p.start_us, 300000000)"


def upgrade() -> None:
    """Add what event time needs, and schema ``serving`` with the windows."""
    op.execute(_UP)
    op.execute("CREATE SCHEMA IF NOT EXISTS serving")
    op.execute(_VIEW.format(name="tumbling_windows", starts=_TUMBLING))
    op.execute(_VIEW.format(name="hopping_windows", starts=_HOPPING))


def downgrade() -> None:
    """Take all of it away again; panes and gaps are lost."""
    op.execute("DROP SCHEMA serving CASCADE")
    op.execute("DROP TABLE speed.gaps, speed.panes")
    op.execute("ALTER TABLE speed.dead_letters DROP COLUMN replayed_as_partition, DROP COLUMN replayed_as_offset")
    op.execute("ALTER TABLE speed.source_offsets DROP COLUMN newest_event_us, DROP COLUMN panes_published_us")
