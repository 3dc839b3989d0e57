"""Signed records of promotions, and what a version served by override."""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE batch.promotions ADD COLUMN record text, ADD COLUMN key_id text, ADD COLUMN signature text;
COMMENT ON COLUMN batch.promotions.record IS 'signed text of the request, canonical JSON; null before signed records';
COMMENT ON COLUMN batch.promotions.key_id IS 'of the Ed25519 key that signed the record; null without signature';
COMMENT ON COLUMN batch.promotions.signature IS 'of the record, hexadecimal; null without signature';
COMMENT ON COLUMN batch.promotions.gate IS
    'result of the gate''s newest run, else verdict of the certificate, as known when it was requested';
ALTER TABLE speed.served ADD COLUMN override text;
COMMENT ON COLUMN speed.served.override IS
    'reason and end of the override by which an uncertified version served; null for a certified one';
"""
_SERVED_VERSIONS = """
CREATE OR REPLACE VIEW serving.served_versions AS
SELECT o.topic, s.partition, s.from_offset, s.model_version, s.policy_version, s.kernel_version,
       (SELECT min(d.append_us) FROM speed.decisions d
         WHERE d.topic_id = s.topic_id AND d.partition = s.partition
           AND d."offset" >= s.from_offset AND d."offset" < s.from_offset + 100) AS since_us, s.override
  FROM speed.served s JOIN speed.source_offsets o USING (topic_id, partition)
"""
# That of 0016, with the override of the decisions.
_MODEL_HISTORY = """
CREATE OR REPLACE VIEW serving.model_history AS
WITH begun AS (
    SELECT o.topic, s.partition, s.from_offset, s.model_version, s.override,
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
    SELECT topic, model_version, request_id, nth, min(since_us) AS first_decision_us, max(override) AS override,
           jsonb_object_agg(partition::text, from_offset ORDER BY from_offset DESC) AS from_offsets
      FROM numbered GROUP BY topic, model_version, request_id, nth
), periods AS (
    SELECT coalesce(p.topic, s.topic) AS topic, p.model_name, coalesce(p.version, s.model_version) AS version,
           coalesce(p.moved_us, s.first_decision_us) AS since_us, s.first_decision_us, s.from_offsets, p.replaced,
           coalesce(p.kind, CASE WHEN unrecorded THEN 'not recorded' ELSE 'by hand' END) AS kind,
           coalesce(p.requested_by, CASE WHEN unrecorded THEN 'not recorded' ELSE 'by hand in MLflow' END)
               AS promoted_by,
           p.reason, p.gate, p.gate_reasons, p.model_digest, p.requested_from, p.requested_us,
           p.moved_us IS NOT NULL AS is_confirmed, s.override
      FROM served s
      FULL JOIN batch.promotions p ON p.request_id = s.request_id
      CROSS JOIN LATERAL (
           SELECT coalesce(s.first_decision_us, 0) < min(f.requested_us) IS TRUE AS unrecorded
             FROM batch.promotions f WHERE f.topic = s.topic) oldest
     WHERE s.topic IS NOT NULL OR p.moved_us IS NOT NULL
)
SELECT topic, model_name, version, since_us, first_decision_us, from_offsets, replaced, kind, promoted_by, reason, gate,
       gate_reasons, model_digest, requested_from, requested_us, is_confirmed,
       lead(p.since_us) OVER (PARTITION BY p.topic ORDER BY p.since_us NULLS FIRST, p.version) AS until_us, override
  FROM periods p
"""


def upgrade() -> None:
    """Add the columns; the views get the override."""
    op.execute(_COLUMNS)
    op.execute(_SERVED_VERSIONS)
    op.execute(_MODEL_HISTORY)


def downgrade() -> None:
    """Drop the columns; the tags of the versions in MLflow contain the newest record of each."""
    op.execute("DROP VIEW serving.model_history, serving.served_versions")
    op.execute("ALTER TABLE speed.served DROP COLUMN override")
    op.execute("ALTER TABLE batch.promotions DROP COLUMN record, DROP COLUMN key_id, DROP COLUMN signature")
    before = _SERVED_VERSIONS.replace(", s.override\n", "\n")
    op.execute(before)
    op.execute(import_module("moderation.adapters.sql.migrations.versions.0016_promotions")._VIEW)
