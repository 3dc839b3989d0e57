"""Days that cannot be recomputed: their ledger rows were dropped, or a version that decided them cannot be opened."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_UP = """
CREATE TABLE speed.retired_days (
    append_day date NOT NULL,
    retired_us bigint NOT NULL,
    rows bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (append_day, retired_us)
);
COMMENT ON TABLE speed.retired_days IS
    'append days whose decisions were dropped by `moderation retire`, of all topics';

CREATE TABLE batch.frozen_days (
    topic text NOT NULL,
    day date NOT NULL,
    frozen_us bigint NOT NULL,
    reason text NOT NULL,
    decided bigint NOT NULL,
    PRIMARY KEY (topic, day)
);
COMMENT ON TABLE batch.frozen_days IS
    'days that keep the results of their last run, because ledger rows of them were dropped';
COMMENT ON COLUMN batch.frozen_days.decided IS
    'comments of the day, counted or late, that the last run knew; speed.panes has the later ones besides';

CREATE TABLE batch.stored_scores (
    run_id bigint NOT NULL REFERENCES batch.runs ON DELETE CASCADE,
    model_version text NOT NULL,
    rows bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (run_id, model_version)
);
COMMENT ON TABLE batch.stored_scores IS
    'by run and version that cannot be opened any more: rows whose scores and verdicts are those of the ledger';
COMMENT ON COLUMN batch.stored_scores.reason IS 'why the version cannot be opened';

CREATE VIEW serving.day_states AS
SELECT r.topic, r.day, r.revision,
       CASE WHEN f.day IS NOT NULL THEN 'frozen' WHEN s.rows > 0 THEN r.state || ' with stored scores'
            ELSE r.state END AS state,
       coalesce(s.rows, 0)::bigint AS stored_scores, coalesce(s.reasons, '') AS stored_reason,
       f.frozen_us, coalesce(f.reason, '') AS frozen_reason,
       CASE WHEN f.day IS NOT NULL THEN (
            SELECT coalesce(sum(p.comments + p.late), 0)::bigint FROM speed.panes p
             WHERE p.topic_id IN (SELECT o.topic_id FROM speed.source_offsets o WHERE o.topic = f.topic)
               AND p.start_us >= (f.day - DATE '1970-01-01')::bigint * 86400000000
               AND p.start_us < ((f.day - DATE '1970-01-01')::bigint + 1) * 86400000000) - f.decided
            ELSE 0 END AS late_after
  FROM (SELECT DISTINCT ON (topic, day) run_id, topic, day, revision, state
          FROM batch.runs ORDER BY topic, day, revision DESC) r
  LEFT JOIN batch.frozen_days f ON f.topic = r.topic AND f.day = r.day
  LEFT JOIN LATERAL (
       SELECT sum(b.rows)::bigint AS rows,
              string_agg('version ' || b.model_version || ': ' || b.reason, '; ' ORDER BY b.model_version) AS reasons
         FROM batch.stored_scores b WHERE b.run_id = r.run_id) s ON true;
"""


def upgrade() -> None:
    """Add the tables and the view."""
    op.execute(_UP)


def downgrade() -> None:
    """Drop them; dropped decisions do not come back, so their days would be reconciled with lost rows."""
    op.execute("DROP VIEW serving.day_states")
    op.execute("DROP TABLE batch.stored_scores, batch.frozen_days, speed.retired_days")
