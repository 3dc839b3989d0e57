CREATE OR REPLACE VIEW serving.hopping_windows AS
 WITH errors AS MATERIALIZED (
         SELECT provisional_errors.topic,
            provisional_errors.age_us,
            provisional_errors.windows,
            provisional_errors.error_p50,
            provisional_errors.error_p95
           FROM serving.provisional_errors
        )
 SELECT w.topic,
    w.topic_id,
    w.community,
    w.start_us,
    (w.start_us + '3600000000'::bigint) AS end_us,
    w.comments,
    w.reviews,
    w.removals,
    w.score_sum,
    w.late,
    ( SELECT bool_and(COALESCE(((GREATEST(o.newest_event_us, (o.read_to_end_us - 1)) - 600000000) >= (w.start_us + '3600000000'::bigint)), false)) AS bool_and
           FROM speed.source_offsets o
          WHERE (o.topic_id = w.topic_id)) AS is_closed,
        CASE
            WHEN w.is_final THEN 'final'::text
            ELSE 'provisional'::text
        END AS state,
    w.revision,
        CASE
            WHEN (NOT w.is_final) THEN e.error_p50
            ELSE NULL::double precision
        END AS error_p50,
        CASE
            WHEN (NOT w.is_final) THEN e.error_p95
            ELSE NULL::double precision
        END AS error_p95,
    (EXISTS ( SELECT
           FROM speed.panes r
          WHERE ((r.topic_id = w.topic_id) AND (r.community = w.community) AND (r.start_us >= w.start_us) AND (r.start_us < (w.start_us + '3600000000'::bigint)) AND (r.reopened_until_us >= (w.start_us + '3600000000'::bigint))))) AS is_reopened
   FROM (( SELECT p.topic,
            p.topic_id,
            p.community,
            s.start_us,
            (sum(p.comments))::bigint AS comments,
            (sum(p.reviews))::bigint AS reviews,
            (sum(p.removals))::bigint AS removals,
            (sum(p.score_sum))::bigint AS score_sum,
            (sum(p.late))::bigint AS late,
            bool_and((p.revision IS NOT NULL)) AS is_final,
            max(p.revision) AS revision
           FROM (serving.current_panes p
             CROSS JOIN LATERAL ( SELECT generate_series((p.start_us - '3300000000'::bigint), p.start_us, (300000000)::bigint) AS generate_series) s(start_us))
          GROUP BY p.topic, p.topic_id, p.community, s.start_us) w
     LEFT JOIN LATERAL ( SELECT e_1.error_p50,
            e_1.error_p95
           FROM errors e_1
          WHERE ((e_1.topic = w.topic) AND (e_1.age_us <= (((EXTRACT(epoch FROM now()) * (1000000)::numeric))::bigint - (w.start_us + '3600000000'::bigint))))
          ORDER BY e_1.age_us DESC
         LIMIT 1) e ON (true));
