CREATE OR REPLACE VIEW serving.current_panes AS
 WITH final AS MATERIALIZED (
         SELECT reconciliations.run_id,
            reconciliations.topic,
            reconciliations.revision,
            ((reconciliations.day - '1970-01-01'::date))::bigint AS day_number
           FROM serving.reconciliations
          WHERE (reconciliations.is_latest AND (reconciliations.state = 'final'::text) AND (reconciliations.begun_us >= ((((reconciliations.day - '1970-01-01'::date))::bigint + 1) * '86400000000'::bigint)))
        ), topics AS MATERIALIZED (
         SELECT DISTINCT source_offsets.topic_id,
            source_offsets.topic
           FROM speed.source_offsets
        )
 SELECT f.topic,
    p.topic_id,
    p.partition,
    p.community,
    p.start_us,
    p.model_version,
    p.policy_version,
    p.batch_comments AS comments,
    p.batch_reviews AS reviews,
    p.batch_removals AS removals,
    p.batch_score_sum AS score_sum,
    p.late,
    f.revision
   FROM (final f
     JOIN batch.panes p USING (run_id))
  WHERE (p.batch_comments > 0)
UNION ALL
 SELECT t.topic,
    p.topic_id,
    p.partition,
    p.community,
    p.start_us,
    p.model_version,
    p.policy_version,
    p.comments,
    p.reviews,
    p.removals,
    p.score_sum,
    p.late,
    NULL::integer AS revision
   FROM ((speed.panes p
     JOIN topics t USING (topic_id))
     LEFT JOIN final f ON (((f.topic = t.topic) AND (f.day_number = (p.start_us / '86400000000'::bigint)))))
  WHERE (f.run_id IS NULL);
