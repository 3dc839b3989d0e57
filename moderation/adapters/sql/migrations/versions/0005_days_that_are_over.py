"""Windows of a day that was not over when it was reconciled are the speed layer's: more of the day came afterwards."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# 86,400,000,000 µs are a day.
_CURRENT_PANES = """
CREATE OR REPLACE VIEW serving.current_panes AS
WITH final AS MATERIALIZED (
    SELECT run_id, topic, revision, (day - DATE '1970-01-01')::bigint AS day_number
      FROM serving.reconciliations WHERE is_latest AND state = 'final' {and_over}
), topics AS MATERIALIZED (
    SELECT DISTINCT topic_id, topic FROM speed.source_offsets
)
SELECT f.topic, p.topic_id, p.partition, p.community, p.start_us, p.model_version, p.policy_version,
       p.batch_comments AS comments, p.batch_reviews AS reviews, p.batch_removals AS removals,
       p.batch_score_sum AS score_sum, p.late, f.revision
  FROM final f JOIN batch.panes p USING (run_id) WHERE p.batch_comments > 0
 UNION ALL
SELECT t.topic, p.topic_id, p.partition, p.community, p.start_us, p.model_version, p.policy_version,
       p.comments, p.reviews, p.removals, p.score_sum, p.late, NULL
  FROM speed.panes p JOIN topics t USING (topic_id)
  LEFT JOIN final f ON f.topic = t.topic AND f.day_number = p.start_us / 86400000000
 WHERE f.run_id IS NULL
"""
_AND_OVER = "AND begun_us >= ((day - DATE '1970-01-01')::bigint + 1) * 86400000000"


def upgrade() -> None:
    """Serve the batch's numbers of a day only from a run that began when it was over."""
    op.execute(_CURRENT_PANES.format(and_over=_AND_OVER))
    op.execute("COMMENT ON COLUMN batch.runs.begun_us IS 'of the last run that came to these results'")
    op.execute("COMMENT ON COLUMN batch.runs.finished_us IS 'of the last run that came to these results'")


def downgrade() -> None:
    """Serve them from every final run."""
    op.execute(_CURRENT_PANES.format(and_over=""))
    op.execute("COMMENT ON COLUMN batch.runs.begun_us IS NULL")
    op.execute("COMMENT ON COLUMN batch.runs.finished_us IS NULL")
