"""Decisions of another version than the one that served are defects in the views."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

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
_OLD_DEFECTS = (
    *("lost", "unexplained", "phantom", "residual", "other_model", "other_id", "other_time", "other_reasons"),
    "wrong_letter",
)


def _view(names: tuple[str, ...]) -> None:
    op.execute(_CAUSES.format(names=", ".join(f"'{name}'" for name in names)))


def upgrade() -> None:
    """Call the two causes defects, of former runs, too."""
    _view((*_OLD_DEFECTS, "policy", "rescored"))


def downgrade() -> None:
    """Call them expected again."""
    _view(_OLD_DEFECTS)
