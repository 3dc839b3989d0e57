"""Records that only the batch layer cannot recompute count as defects, and where comparisons of the topics ended.

Both are columns, so that the defect of a run stays, and the next comparison continues where the last one ended.
"""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_UP = """
ALTER TABLE batch.runs ADD COLUMN not_recomputed bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN batch.runs.not_recomputed IS 'records that only the batch cannot parse or score; a defect';
ALTER TABLE batch.published_checks ADD COLUMN read_to jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN batch.published_checks.read_to IS
    'ends of the partitions of the published topic that were read, by its id and partition';
"""
_RECONCILIATIONS = """
CREATE OR REPLACE VIEW serving.reconciliations AS
SELECT run_id, topic, day, revision, state, engine, begun_us, finished_us, panes, batch_comments, speed_comments,
       lost, unexplained, phantom, residual, {defects} AS defects, {causes} AS causes,
       kernel_version, code_version, differences_url, started_by, digest,
       revision = max(revision) OVER (PARTITION BY topic, day) AS is_latest
  FROM batch.runs
"""
_OLD_DEFECTS = "lost + unexplained + phantom + residual + other_defects"
_CAUSES = "causes || jsonb_build_object('not_recomputed', not_recomputed)"


def upgrade() -> None:
    """Add the columns, 0 and empty in older rows. The view counts the records, and has them in ``causes``, too."""
    op.execute(_UP)
    op.execute(_RECONCILIATIONS.format(defects=f"{_OLD_DEFECTS} + not_recomputed", causes=_CAUSES))


def downgrade() -> None:
    """Remove them; the days of such records are then stored as without this defect."""
    op.execute(_RECONCILIATIONS.format(defects=_OLD_DEFECTS, causes="causes"))
    op.execute("ALTER TABLE batch.runs DROP COLUMN not_recomputed")
    op.execute("ALTER TABLE batch.published_checks DROP COLUMN read_to")
