"""DEFAULT partition of the decisions, partitions of the next 30 days, and a view of both."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# The lock is that of workers of the version before, which attach a day's partition themselves. The days come before
# DEFAULT: attaching takes a lock on DEFAULT that readers would keep from it.
_PARTITIONS = """
SELECT pg_advisory_xact_lock(7205760);
DO $$
DECLARE
    day date;
    name text;
BEGIN
    FOR day IN SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, 30) n LOOP
        name := 'decisions_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('speed.' || name) IS NOT NULL;
        EXECUTE format('CREATE TABLE speed.%I (LIKE speed.decisions INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE speed.decisions ATTACH PARTITION speed.%I FOR VALUES FROM (%L) TO (%L)',
                       name, day, day + 1);
    END LOOP;
END $$;
CREATE TABLE speed.decisions_default (LIKE speed.decisions INCLUDING ALL);
COMMENT ON TABLE speed.decisions_default IS
    'rows of append days without a partition; `moderation partitions` moves them';
ALTER TABLE speed.decisions ATTACH PARTITION speed.decisions_default DEFAULT;
"""
# Limits as in moderation/adapters/sql/partition_plan.py.
_VIEW = """
CREATE VIEW serving.decision_partitions AS
WITH clock AS (
    SELECT (now() AT TIME ZONE 'UTC')::date AS today
), ranges AS (
    SELECT bounds[1]::date AS first, bounds[2]::date AS next
      FROM (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), $re$FROM \\('([^']+)'\\) TO \\('([^']+)'\\)$re$)
                AS bounds
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'speed.decisions'::regclass) each
     WHERE bounds IS NOT NULL
), kept AS (
    SELECT count(*) FILTER (WHERE is_near) AS rows, min(stored_us) FILTER (WHERE is_near) AS since_us,
           count(*) FILTER (WHERE NOT is_near) AS far_rows
      FROM (SELECT coalesce(stored_us, append_us) AS stored_us,
                   append_day BETWEEN today - 90 AND today + 30 AS is_near
              FROM speed.decisions_default CROSS JOIN clock) each
)
SELECT coalesce((SELECT min(n) - 1 FROM clock, generate_series(0, 400) n
                  WHERE NOT EXISTS (SELECT FROM ranges WHERE today + n >= first AND today + n < next)), 400)
           AS days_ahead,
       rows AS default_rows, since_us AS default_since_us, far_rows AS default_far_rows
  FROM kept;
"""


def upgrade() -> None:
    """Add the partitions and the view; existing rows stay where they are."""
    op.execute(_PARTITIONS)
    op.execute(_VIEW)


def downgrade() -> None:
    """Drop view and DEFAULT, which must be empty; workers of the version before create partitions themselves."""
    op.execute("DROP VIEW serving.decision_partitions")
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM speed.decisions_default) THEN "
        "RAISE EXCEPTION 'speed.decisions_default has rows: run moderation partitions'; END IF; END $$"
    )
    op.execute("DROP TABLE speed.decisions_default")
