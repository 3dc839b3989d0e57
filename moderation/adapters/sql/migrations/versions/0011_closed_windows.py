"""Windows close when every partition was read to its end after their deadline, and show when they were re-opened."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

_UP = """
ALTER TABLE speed.source_offsets ADD COLUMN read_to_end_us bigint;
COMMENT ON COLUMN speed.source_offsets.read_to_end_us IS
    'latest broker time at which every record appended so far was below next; null if unknown';
ALTER TABLE speed.panes ADD COLUMN reopened_until_us bigint;
COMMENT ON COLUMN speed.panes.reopened_until_us IS
    'windows with this pane that end at or before this were closed when a comment was counted; null for none';
CREATE INDEX panes_reopened ON speed.panes (topic_id, community, start_us) WHERE reopened_until_us IS NOT NULL;
"""
_DOWN = """
DROP INDEX speed.panes_reopened;
ALTER TABLE speed.panes DROP COLUMN reopened_until_us;
ALTER TABLE speed.source_offsets DROP COLUMN read_to_end_us;
"""
_WATERMARKS = """
CREATE OR REPLACE VIEW serving.watermarks AS
SELECT topic, topic_id, partition, next, next - published_next AS unpublished, newest_event_us,
       newest_event_us - 600000000 AS watermark_us{read_to_end}
  FROM speed.source_offsets
"""
_WINDOWS = """
CREATE OR REPLACE VIEW serving.{name} AS
WITH errors AS MATERIALIZED (SELECT * FROM serving.provisional_errors)
SELECT w.topic, w.topic_id, w.community, w.start_us, w.start_us + 3600000000 AS end_us,
       w.comments, w.reviews, w.removals, w.score_sum, w.late,
       (SELECT bool_and(coalesce({closed}, false))
          FROM speed.source_offsets o WHERE o.topic_id = w.topic_id) AS is_closed,
       CASE WHEN w.is_final THEN 'final' ELSE 'provisional' END AS state, w.revision,
       CASE WHEN NOT w.is_final THEN e.error_p50 END AS error_p50,
       CASE WHEN NOT w.is_final THEN e.error_p95 END AS error_p95{reopened}
  FROM (SELECT p.topic, p.topic_id, p.community, s.start_us,
               sum(p.comments)::bigint AS comments, sum(p.reviews)::bigint AS reviews,
               sum(p.removals)::bigint AS removals, sum(p.score_sum)::bigint AS score_sum, sum(p.late)::bigint AS late,
               bool_and(p.revision IS NOT NULL) AS is_final, max(p.revision) AS revision
          FROM serving.current_panes p CROSS JOIN LATERAL ({starts}) AS s(start_us)
         GROUP BY p.topic, p.topic_id, p.community, s.start_us) w
  LEFT JOIN LATERAL (
       SELECT e.error_p50, e.error_p95 FROM errors e
        WHERE e.topic = w.topic
          AND e.age_us <= (extract(epoch FROM now()) * 1000000)::bigint - (w.start_us + 3600000000)
        ORDER BY e.age_us DESC LIMIT 1) e ON true
"""
_STARTS = {
    "tumbling_windows": "SELECT p.start_us - p.start_us % 3600000000",
    "hopping_windows": "SELECT generate_series(p.start_us - 3300000000, p.start_us, 300000000)",
}
# greatest() ignores nulls. A window is closed at a broker time later than its end plus the lateness, so less one.
_BY_WATERMARK = "o.newest_event_us - 600000000 >= w.start_us + 3600000000"
_OR_BY_END = "greatest(o.newest_event_us, o.read_to_end_us - 1) - 600000000 >= w.start_us + 3600000000"
_REOPENED = """,
       EXISTS (SELECT FROM speed.panes r
                WHERE r.topic_id = w.topic_id AND r.community = w.community AND r.start_us >= w.start_us
                  AND r.start_us < w.start_us + 3600000000 AND r.reopened_until_us >= w.start_us + 3600000000
              ) AS is_reopened"""


def upgrade() -> None:
    """Add the columns, and replace the views that show them."""
    op.execute(_UP)
    _replace_views(_OR_BY_END, _REOPENED, ", read_to_end_us")


def downgrade() -> None:
    """Windows close by the watermark alone."""
    op.execute("DROP VIEW serving.watermarks, serving.tumbling_windows, serving.hopping_windows")
    _replace_views(_BY_WATERMARK, "", "")
    op.execute(_DOWN)


def _replace_views(closed: str, reopened: str, read_to_end: str) -> None:
    op.execute(_WATERMARKS.format(read_to_end=read_to_end))
    for name, starts in _STARTS.items():
        op.execute(_WINDOWS.format(name=name, closed=closed, reopened=reopened, starts=starts))
