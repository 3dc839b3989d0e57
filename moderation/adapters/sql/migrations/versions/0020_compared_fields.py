"""Digests of models, rules of dead letters, more kinds of defects, and comparisons of the published topics."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_UP = """
ALTER TABLE speed.served ADD COLUMN model_digest text;
COMMENT ON COLUMN speed.served.model_digest IS
    'SHA-256 of the model file: another registry may give the number to another model; null where it was not stored';
ALTER TABLE speed.dead_letters ADD COLUMN rules_version integer;
COMMENT ON COLUMN speed.dead_letters.rules_version IS
    'of the rules that refused it; null in older rows and after a skip';
ALTER TABLE batch.runs ADD COLUMN other_defects bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN batch.runs.other_defects IS 'rows of the other defects in causes';
-- A row may have several causes in one pane: one for what is counted, others for what is not.
ALTER TABLE batch.differences DROP CONSTRAINT differences_pkey,
    ADD PRIMARY KEY (run_id, topic_id, partition, "offset", start_us, community, model_version, policy_version, cause);
CREATE TABLE batch.published_checks (
    topic text NOT NULL,
    day date NOT NULL,
    published text NOT NULL,
    compared bigint NOT NULL,
    unpublished bigint NOT NULL,
    published_otherwise bigint NOT NULL,
    published_unknown bigint NOT NULL,
    examples jsonb NOT NULL,
    skipped text,
    checked_us bigint NOT NULL,
    PRIMARY KEY (topic, day, published)
);
COMMENT ON TABLE batch.published_checks IS
    'last comparison of a published topic with the ledger: by append day of decisions, by day of event time of panes';
COMMENT ON COLUMN batch.published_checks.compared IS 'rows of the ledger that must be on the topic';
COMMENT ON COLUMN batch.published_checks.unpublished IS 'of these the rows that the topic lacks';
COMMENT ON COLUMN batch.published_checks.published_otherwise IS 'rows that the topic has with another key or value';
COMMENT ON COLUMN batch.published_checks.published_unknown IS 'positions on the topic that the ledger lacks';
COMMENT ON COLUMN batch.published_checks.examples IS 'the first positions by kind of difference';
COMMENT ON COLUMN batch.published_checks.skipped IS 'why nothing was compared; null if it was';
CREATE VIEW serving.published_checks AS
SELECT topic, day, published, compared, unpublished, published_otherwise, published_unknown,
       unpublished + published_otherwise + published_unknown AS defects, examples, skipped, checked_us
  FROM batch.published_checks;
"""
_RECONCILIATIONS = """
CREATE OR REPLACE VIEW serving.reconciliations AS
SELECT run_id, topic, day, revision, state, engine, begun_us, finished_us, panes, batch_comments, speed_comments,
       lost, unexplained, phantom, residual, {defects} AS defects, causes,
       kernel_version, code_version, differences_url, started_by, digest,
       revision = max(revision) OVER (PARTITION BY topic, day) AS is_latest
  FROM batch.runs
"""
_CAUSES = """
CREATE OR REPLACE VIEW serving.reconciled_causes AS
SELECT p.run_id, p.topic, p.day, p.revision, p.topic_id, p.partition, p.community, p.start_us, p.model_version,
       p.policy_version, c.key AS cause, c.key IN ({names}) AS is_defect,
       (c.value->>'rows')::bigint AS rows, (c.value->>'comments')::bigint AS comments,
       (c.value->>'reviews')::bigint AS reviews, (c.value->>'removals')::bigint AS removals,
       (c.value->>'score_sum')::bigint AS score_sum
  FROM serving.reconciled_panes p
 CROSS JOIN LATERAL (
       SELECT key, value FROM jsonb_each(p.causes)
       UNION ALL
       SELECT 'residual', jsonb_build_object('rows', 1, 'comments', p.residual_comments, 'reviews', p.residual_reviews,
                                             'removals', p.residual_removals, 'score_sum', p.residual_score_sum)
        WHERE (p.residual_comments, p.residual_reviews, p.residual_removals, p.residual_score_sum) <> (0, 0, 0, 0)
       ) c
"""
_OLD_DEFECTS = ("lost", "unexplained", "phantom", "residual")
_DEFECTS = (*_OLD_DEFECTS, "other_model", "other_id", "other_time", "other_reasons", "wrong_letter")
_DOWN = """
DROP VIEW serving.published_checks;
DROP TABLE batch.published_checks;
DELETE FROM batch.differences WHERE cause = ANY(
    '{other_model,other_id,other_time,other_reasons,wrong_letter,missing_letter,phantom_letter}');
ALTER TABLE batch.differences DROP CONSTRAINT differences_pkey,
    ADD PRIMARY KEY (run_id, topic_id, partition, "offset", start_us, community, model_version, policy_version);
ALTER TABLE batch.differences ALTER COLUMN cause SET NOT NULL;
ALTER TABLE batch.runs DROP COLUMN other_defects;
ALTER TABLE speed.dead_letters DROP COLUMN rules_version;
ALTER TABLE speed.served DROP COLUMN model_digest;
"""


def _views(sum_of: str, names: tuple[str, ...]) -> None:
    op.execute(_RECONCILIATIONS.format(defects=sum_of))
    op.execute(_CAUSES.format(names=", ".join(f"'{name}'" for name in names)))


def upgrade() -> None:
    """Add columns and table; older rows have null or 0. The views count the new defects."""
    op.execute(_UP)
    _views("lost + unexplained + phantom + residual + other_defects", _DEFECTS)


def downgrade() -> None:
    """Remove them, and the rows of the new causes."""
    _views("lost + unexplained + phantom + residual", _OLD_DEFECTS)
    op.execute(_DOWN)
