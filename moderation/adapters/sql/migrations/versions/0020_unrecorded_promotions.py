"""Versions that served before promotions were recorded are not shown as moved by hand."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0016"
branch_labels = None
depends_on = None

# A decision belongs to the newest promotion of its version that was requested before it, unless another version was
# promoted between the two: then the alias was moved by hand. A worker that loads a promoted version up to a minute late
# may begin a partition with the replaced one: such a beginning is left out. Five seconds are for clocks that differ.
_VIEW = """
CREATE OR REPLACE VIEW serving.model_history AS
WITH begun AS (
    SELECT o.topic, s.partition, s.from_offset, s.model_version,
           lead(s.model_version) OVER (PARTITION BY s.topic_id, s.partition ORDER BY s.from_offset) AS next_version,
           (SELECT min(coalesce(d.stored_us, d.append_us)) FROM speed.decisions d
             WHERE d.topic_id = s.topic_id AND d.partition = s.partition
               AND d."offset" >= s.from_offset AND d."offset" < s.from_offset + 100) AS since_us
      FROM speed.served s JOIN speed.source_offsets o USING (topic_id, partition)
), decided AS (
    SELECT b.* FROM begun b
     WHERE NOT EXISTS (
           SELECT FROM batch.promotions n
            WHERE n.topic = b.topic AND n.replaced = b.model_version AND n.version = b.next_version
              AND b.since_us BETWEEN n.requested_us - 5000000 AND n.moved_us + 60000000)
), matched AS (
    SELECT d.*, p.request_id
      FROM decided d
      LEFT JOIN LATERAL (
           SELECT p.request_id FROM batch.promotions p
            WHERE p.topic = d.topic AND p.version = d.model_version
              AND (d.since_us IS NULL OR p.requested_us <= d.since_us + 5000000)
              AND NOT EXISTS (
                  SELECT FROM batch.promotions n
                   WHERE n.topic = p.topic AND n.moved_us > p.requested_us AND n.request_id <> p.request_id
                     AND n.moved_us < d.since_us)
            ORDER BY p.requested_us DESC LIMIT 1) p ON true
), ordered AS (
    SELECT m.*, coalesce(m.request_id, m.model_version) IS DISTINCT FROM
               lag(coalesce(m.request_id, m.model_version)) OVER (
               PARTITION BY m.topic ORDER BY m.since_us NULLS FIRST, m.from_offset, m.partition) AS begins
      FROM matched m
), numbered AS (
    SELECT o.*, CASE WHEN o.request_id IS NULL THEN sum(o.begins::int) OVER (
               PARTITION BY o.topic ORDER BY o.since_us NULLS FIRST, o.from_offset, o.partition) END AS nth
      FROM ordered o
), served AS (
    SELECT topic, model_version, request_id, nth, min(since_us) AS first_decision_us,
           jsonb_object_agg(partition::text, from_offset ORDER BY from_offset DESC) AS from_offsets
      FROM numbered GROUP BY topic, model_version, request_id, nth
), periods AS (
    SELECT coalesce(p.topic, s.topic) AS topic, p.model_name, coalesce(p.version, s.model_version) AS version,
           coalesce(p.moved_us, s.first_decision_us) AS since_us, s.first_decision_us, s.from_offsets, p.replaced,
           coalesce(p.kind, CASE WHEN unrecorded THEN 'not recorded' ELSE 'by hand' END) AS kind,
           coalesce(p.requested_by, CASE WHEN unrecorded THEN 'not recorded' ELSE 'by hand in MLflow' END)
               AS promoted_by,
           p.reason, p.gate, p.gate_reasons, p.model_digest, p.requested_from, p.requested_us,
           p.moved_us IS NOT NULL AS is_confirmed
      FROM served s
      FULL JOIN batch.promotions p ON p.request_id = s.request_id
      CROSS JOIN LATERAL (
           SELECT coalesce(s.first_decision_us, 0) < min(f.requested_us) {test} AS unrecorded
             FROM batch.promotions f WHERE f.topic = s.topic) oldest
     WHERE s.topic IS NOT NULL OR p.moved_us IS NOT NULL
)
SELECT p.*, lead(p.since_us) OVER (PARTITION BY p.topic ORDER BY p.since_us NULLS FIRST, p.version) AS until_us
  FROM periods p
"""


def upgrade() -> None:
    """Without any record of the topic, it is unknown how a version came to serve."""
    op.execute(_VIEW.format(test="IS NOT FALSE"))


def downgrade() -> None:
    """Without any record of the topic, every version was moved by hand."""
    op.execute(_VIEW.format(test="IS TRUE"))
