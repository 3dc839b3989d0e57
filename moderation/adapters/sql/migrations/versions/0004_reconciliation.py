"""Reconciliation: runs, their panes and differences, and what people see of batch and speed."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The default is set apart from the column: rows that are there already must not claim to have been stored now.
_UP = """
ALTER TABLE speed.decisions ADD COLUMN stored_us bigint;
ALTER TABLE speed.decisions ALTER COLUMN stored_us SET DEFAULT (extract(epoch FROM now()) * 1000000)::bigint;
COMMENT ON COLUMN speed.decisions.stored_us IS 'when the transaction that stored it began';
CREATE INDEX decisions_by_event_time ON speed.decisions USING brin (event_time_us);

ALTER TABLE batch.files ADD COLUMN event_days date[];
COMMENT ON COLUMN batch.files.event_days IS
    'UTC days of the event times of the records that parse; null for files of before this column';

CREATE TABLE batch.runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    day date NOT NULL,
    revision integer NOT NULL CHECK (revision > 0),
    state text NOT NULL CHECK (state IN ('provisional', 'final')),
    engine text NOT NULL,
    begun_us bigint NOT NULL,
    finished_us bigint NOT NULL,
    cut jsonb NOT NULL,
    digest text NOT NULL,
    panes bigint NOT NULL,
    batch_comments bigint NOT NULL,
    speed_comments bigint NOT NULL,
    causes jsonb NOT NULL,
    lost bigint NOT NULL,
    unexplained bigint NOT NULL,
    phantom bigint NOT NULL,
    residual bigint NOT NULL,
    agreement jsonb NOT NULL,
    kernel_version text NOT NULL,
    code_version text NOT NULL,
    differences_url text NOT NULL,
    started_by text NOT NULL,
    CHECK (begun_us <= finished_us),
    UNIQUE (topic, day, revision)
);
COMMENT ON TABLE batch.runs IS 'reconciliations of UTC days of event time; the numbers of a revision never change';
COMMENT ON COLUMN batch.runs.cut IS 'as last seen, by topic id and partition: ends of lake and ledger';
COMMENT ON COLUMN batch.runs.digest IS 'SHA-256 of state, panes, causes and rows: equal results are one revision';
COMMENT ON COLUMN batch.runs.causes IS 'rows by cause';
COMMENT ON COLUMN batch.runs.residual IS 'panes that are not what their ledger rows add up to';
COMMENT ON COLUMN batch.runs.agreement IS 'by model version and last action: verdicts';
COMMENT ON COLUMN batch.runs.started_by IS 'address of the Airflow run, or the command';

CREATE TABLE batch.panes (
    run_id bigint NOT NULL REFERENCES batch.runs ON DELETE CASCADE,
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    community text NOT NULL,
    start_us bigint NOT NULL CHECK (start_us % 300000000 = 0),
    model_version text NOT NULL,
    policy_version text NOT NULL,
    batch_comments bigint NOT NULL,
    batch_reviews bigint NOT NULL,
    batch_removals bigint NOT NULL,
    batch_score_sum bigint NOT NULL,
    speed_comments bigint NOT NULL,
    speed_reviews bigint NOT NULL,
    speed_removals bigint NOT NULL,
    speed_score_sum bigint NOT NULL,
    residual_comments bigint NOT NULL,
    residual_reviews bigint NOT NULL,
    residual_removals bigint NOT NULL,
    residual_score_sum bigint NOT NULL,
    late bigint NOT NULL,
    causes jsonb NOT NULL,
    stored_by_age bigint[] NOT NULL,
    PRIMARY KEY (run_id, topic_id, partition, start_us, community, model_version, policy_version)
);
COMMENT ON COLUMN batch.panes.late IS 'of the batch''s comments those that the stream was right to leave out';
COMMENT ON COLUMN batch.panes.causes IS
    'by cause: rows, and what they add to batch less speed in comments, reviews, removals and score_sum';
COMMENT ON COLUMN batch.panes.stored_by_age IS
    'comments the speed layer had stored 0 min, 5 min, 15 min, 1 h, 6 h and 24 h after the end of the pane''s hour';

CREATE TABLE batch.differences (
    run_id bigint NOT NULL REFERENCES batch.runs ON DELETE CASCADE,
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    community text NOT NULL,
    start_us bigint NOT NULL,
    model_version text NOT NULL,
    policy_version text NOT NULL,
    cause text NOT NULL,
    comments bigint NOT NULL,
    reviews bigint NOT NULL,
    removals bigint NOT NULL,
    score_sum bigint NOT NULL,
    comment_id text,
    event_time_us bigint NOT NULL,
    batch_score_ppm integer,
    batch_verdict text,
    speed_score_ppm integer,
    speed_verdict text,
    speed_fate text,
    PRIMARY KEY (run_id, topic_id, partition, "offset", start_us, community, model_version, policy_version)
);
COMMENT ON TABLE batch.differences IS
    'rows behind the causes, at most 1,000 by pane and cause; all of them are in the run''s Parquet file';
COMMENT ON COLUMN batch.differences.comments IS 'batch less speed, like the three measures after it';
"""

_WINDOWS = """
CREATE VIEW serving.{name} AS
WITH errors AS MATERIALIZED (SELECT * FROM serving.provisional_errors)
SELECT w.topic, w.topic_id, w.community, w.start_us, w.start_us + 3600000000 AS end_us,
       w.comments, w.reviews, w.removals, w.score_sum, w.late,
       (SELECT bool_and(coalesce(o.newest_event_us - 600000000 >= w.start_us + 3600000000, false))
          FROM speed.source_offsets o WHERE o.topic_id = w.topic_id) AS is_closed,
       CASE WHEN w.is_final THEN 'final' ELSE 'provisional' END AS state, w.revision,
       CASE WHEN NOT w.is_final THEN e.error_p50 END AS error_p50,
       CASE WHEN NOT w.is_final THEN e.error_p95 END AS error_p95
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
# A window is a sum of panes. A pane is the batch's where its day's last run is final, else the speed layer's.
_VIEWS = [
    """
CREATE VIEW serving.reconciliations AS
SELECT run_id, topic, day, revision, state, engine, begun_us, finished_us, panes, batch_comments, speed_comments,
       lost, unexplained, phantom, residual, lost + unexplained + phantom + residual AS defects, causes,
       kernel_version, code_version, differences_url, started_by, digest,
       revision = max(revision) OVER (PARTITION BY topic, day) AS is_latest
  FROM batch.runs
""",
    """
CREATE VIEW serving.reconciled_panes AS
SELECT r.topic, r.day, r.revision, r.state, p.*
  FROM serving.reconciliations r JOIN batch.panes p USING (run_id) WHERE r.is_latest
""",
    """
CREATE VIEW serving.reconciled_causes AS
SELECT p.run_id, p.topic, p.day, p.revision, p.topic_id, p.partition, p.community, p.start_us, p.model_version,
       p.policy_version, c.key AS cause, c.key IN ('lost', 'unexplained', 'phantom', 'residual') AS is_defect,
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
""",
    """
CREATE VIEW serving.reconciled_differences AS
SELECT r.topic, r.day, r.revision, d.*
  FROM serving.reconciliations r JOIN batch.differences d USING (run_id) WHERE r.is_latest
""",
    """
CREATE VIEW serving.current_panes AS
WITH final AS MATERIALIZED (
    SELECT run_id, topic, revision, (day - DATE '1970-01-01')::bigint AS day_number
      FROM serving.reconciliations WHERE is_latest AND state = 'final'
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
""",
    """
CREATE VIEW serving.provisional_errors AS
WITH final AS (
    SELECT run_id, topic FROM (
        SELECT run_id, topic, day, max(day) OVER (PARTITION BY topic) AS newest
          FROM serving.reconciliations WHERE is_latest AND state = 'final') r
     WHERE day > newest - 28
), hours AS (
    SELECT f.topic, a.age_us, sum(p.batch_comments) AS final, sum(p.stored_by_age[a.place]) AS provisional
      FROM final f JOIN batch.panes p USING (run_id)
     CROSS JOIN (VALUES (1, 0), (2, 300000000), (3, 900000000), (4, 3600000000), (5, 21600000000), (6, 86400000000))
        AS a(place, age_us)
     GROUP BY f.topic, p.topic_id, p.community, p.start_us - p.start_us % 3600000000, a.age_us
    HAVING sum(p.batch_comments) > 0
)
SELECT topic, age_us, count(*) AS windows,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(final - provisional)::float8 / final::float8) AS error_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY abs(final - provisional)::float8 / final::float8) AS error_p95
  FROM hours GROUP BY topic, age_us
""",
    _WINDOWS.format(name="tumbling_windows", starts="SELECT p.start_us - p.start_us % 3600000000"),
    _WINDOWS.format(
        name="hopping_windows", starts="SELECT generate_series(p.start_us - 3300000000, p.start_us, 300000000)"
    ),
    """
CREATE VIEW serving.decision_minutes AS
SELECT t.topic, d.append_us - d.append_us % 60000000 AS minute_us, d.community, d.model_version, d.verdict, d.fate,
       count(*) AS decisions
  FROM speed.decisions d JOIN (SELECT DISTINCT topic_id, topic FROM speed.source_offsets) t USING (topic_id)
 WHERE d.append_day >= (now() AT TIME ZONE 'UTC')::date - 1
 GROUP BY 1, 2, 3, 4, 5, 6
""",
    """
CREATE VIEW serving.alerts AS
SELECT t.topic, d.append_us, d.event_time_us, d.community, d.comment_id, d.score_ppm, d.verdict, d.model_version,
       d.policy_version, d.reasons, d.partition, d."offset"
  FROM speed.decisions d JOIN (SELECT DISTINCT topic_id, topic FROM speed.source_offsets) t USING (topic_id)
 WHERE d.append_day >= (now() AT TIME ZONE 'UTC')::date - 1 AND d.verdict <> 'allow'
""",
    """
CREATE VIEW serving.watermarks AS
SELECT topic, topic_id, partition, next, next - published_next AS unpublished, newest_event_us,
       newest_event_us - 600000000 AS watermark_us
  FROM speed.source_offsets
""",
    """
CREATE VIEW serving.served_versions AS
SELECT o.topic, s.partition, s.from_offset, s.model_version, s.policy_version, s.kernel_version,
       (SELECT min(d.append_us) FROM speed.decisions d WHERE d.topic_id = s.topic_id AND d.partition = s.partition
           AND d."offset" >= s.from_offset AND d."offset" < s.from_offset + 100) AS since_us
  FROM speed.served s JOIN speed.source_offsets o USING (topic_id, partition)
""",
    """
CREATE VIEW serving.agreement AS
SELECT r.topic, r.day, m.key AS model_version, a.key AS action, v.key AS verdict, v.value::bigint AS comments
  FROM serving.reconciliations r JOIN batch.runs b USING (run_id)
 CROSS JOIN LATERAL jsonb_each(b.agreement) m CROSS JOIN LATERAL jsonb_each(m.value) a
 CROSS JOIN LATERAL jsonb_each_text(a.value) v
 WHERE r.is_latest
""",
    """
CREATE VIEW serving.dead_letter_minutes AS
SELECT t.topic, l.append_us - l.append_us % 60000000 AS minute_us, l.reason, count(*) AS letters,
       count(*) FILTER (WHERE l.replayed_as_offset IS NOT NULL) AS replayed
  FROM speed.dead_letters l JOIN (SELECT DISTINCT topic_id, topic FROM speed.source_offsets) t USING (topic_id)
 GROUP BY 1, 2, 3
""",
    """
CREATE VIEW serving.workload AS
SELECT topic, DATE '1970-01-01' + (start_us / 86400000000)::int AS day, community, model_version, policy_version,
       sum(comments)::bigint AS comments, sum(reviews)::bigint AS reviews, sum(removals)::bigint AS removals,
       sum(score_sum)::bigint AS score_sum, bool_and(revision IS NOT NULL) AS is_final
  FROM serving.current_panes GROUP BY 1, 2, 3, 4, 5
""",
]

_READER = """
DO $$ BEGIN
    -- Whoever deploys may have made it, so that the ledger's own role need not be able to make roles.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'moderation_reader') THEN
        CREATE ROLE moderation_reader NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
DO $$ BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO moderation_reader', current_database());
END $$;
GRANT USAGE ON SCHEMA serving TO moderation_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA serving TO moderation_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA serving GRANT SELECT ON TABLES TO moderation_reader;
"""


def upgrade() -> None:
    """Add runs, panes and differences, and views of them that role ``moderation_reader`` may read."""
    op.execute(_UP)
    op.execute("DROP VIEW serving.tumbling_windows, serving.hopping_windows")
    for statement in _VIEWS:
        op.execute(statement)
    op.execute(_READER)


def downgrade() -> None:
    """Take all of it away again, and every view with it; what was reconciled can be reconciled again."""
    op.execute("DROP SCHEMA serving CASCADE")
    op.execute("DROP TABLE batch.differences, batch.panes, batch.runs")
    op.execute("ALTER TABLE batch.files DROP COLUMN event_days")
    op.execute("DROP INDEX speed.decisions_by_event_time")
    op.execute("ALTER TABLE speed.decisions DROP COLUMN stored_us")
