CREATE OR REPLACE VIEW serving.day_states AS
 SELECT r.topic,
    r.day,
    r.revision,
        CASE
            WHEN (f.day IS NOT NULL) THEN 'frozen'::text
            WHEN (s.rows > 0) THEN (r.state || ' with stored scores'::text)
            ELSE r.state
        END AS state,
    COALESCE(s.rows, (0)::bigint) AS stored_scores,
    COALESCE(s.reasons, ''::text) AS stored_reason,
    f.frozen_us,
    COALESCE(f.reason, ''::text) AS frozen_reason,
        CASE
            WHEN (f.day IS NOT NULL) THEN (( SELECT (COALESCE(sum((p.comments + p.late)), (0)::numeric))::bigint AS "coalesce"
               FROM speed.panes p
              WHERE ((p.topic_id IN ( SELECT o.topic_id
                       FROM speed.source_offsets o
                      WHERE (o.topic = f.topic))) AND (p.start_us >= (((f.day - '1970-01-01'::date))::bigint * '86400000000'::bigint)) AND (p.start_us < ((((f.day - '1970-01-01'::date))::bigint + 1) * '86400000000'::bigint)))) - f.decided)
            ELSE (0)::bigint
        END AS late_after
   FROM ((( SELECT DISTINCT ON (runs.topic, runs.day) runs.run_id,
            runs.topic,
            runs.day,
            runs.revision,
            runs.state
           FROM batch.runs
          ORDER BY runs.topic, runs.day, runs.revision DESC) r
     LEFT JOIN batch.frozen_days f ON (((f.topic = r.topic) AND (f.day = r.day))))
     LEFT JOIN LATERAL ( SELECT (sum(b.rows))::bigint AS rows,
            string_agg(((('version '::text || b.model_version) || ': '::text) || b.reason), '; '::text ORDER BY b.model_version) AS reasons
           FROM batch.stored_scores b
          WHERE (b.run_id = r.run_id)) s ON (true));
