CREATE OR REPLACE VIEW serving.provisional_errors AS
 WITH final AS (
         SELECT r.run_id,
            r.topic
           FROM ( SELECT reconciliations.run_id,
                    reconciliations.topic,
                    reconciliations.day,
                    max(reconciliations.day) OVER (PARTITION BY reconciliations.topic) AS newest
                   FROM serving.reconciliations
                  WHERE (reconciliations.is_latest AND (reconciliations.state = 'final'::text))) r
          WHERE (r.day > (r.newest - 28))
        ), hours AS (
         SELECT f.topic,
            a.age_us,
            sum(p.batch_comments) AS final,
            sum(p.stored_by_age[a.place]) AS provisional
           FROM ((final f
             JOIN batch.panes p USING (run_id))
             CROSS JOIN ( VALUES (1,0), (2,300000000), (3,900000000), (4,'3600000000'::bigint), (5,'21600000000'::bigint), (6,'86400000000'::bigint)) a(place, age_us))
          GROUP BY f.topic, p.topic_id, p.community, (p.start_us - (p.start_us % '3600000000'::bigint)), a.age_us
         HAVING (sum(p.batch_comments) > (0)::numeric)
        )
 SELECT topic,
    age_us,
    count(*) AS windows,
    percentile_cont((0.5)::double precision) WITHIN GROUP (ORDER BY ((abs((final - provisional)))::double precision / (final)::double precision)) AS error_p50,
    percentile_cont((0.95)::double precision) WITHIN GROUP (ORDER BY ((abs((final - provisional)))::double precision / (final)::double precision)) AS error_p95
   FROM hours
  GROUP BY topic, age_us;
