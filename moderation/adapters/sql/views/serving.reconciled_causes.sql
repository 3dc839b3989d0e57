CREATE OR REPLACE VIEW serving.reconciled_causes AS
 SELECT p.run_id,
    p.topic,
    p.day,
    p.revision,
    p.topic_id,
    p.partition,
    p.community,
    p.start_us,
    p.model_version,
    p.policy_version,
    c.key AS cause,
    (c.key = ANY (ARRAY['lost'::text, 'unexplained'::text, 'phantom'::text, 'residual'::text, 'other_model'::text, 'other_id'::text, 'other_time'::text, 'other_reasons'::text, 'wrong_letter'::text, 'policy'::text, 'rescored'::text])) AS is_defect,
    ((c.value ->> 'rows'::text))::bigint AS rows,
    ((c.value ->> 'comments'::text))::bigint AS comments,
    ((c.value ->> 'reviews'::text))::bigint AS reviews,
    ((c.value ->> 'removals'::text))::bigint AS removals,
    ((c.value ->> 'score_sum'::text))::bigint AS score_sum
   FROM (serving.reconciled_panes p
     CROSS JOIN LATERAL ( SELECT jsonb_each.key,
            jsonb_each.value
           FROM jsonb_each(p.causes) jsonb_each(key, value)
        UNION ALL
         SELECT 'residual'::text,
            jsonb_build_object('rows', 1, 'comments', p.residual_comments, 'reviews', p.residual_reviews, 'removals', p.residual_removals, 'score_sum', p.residual_score_sum) AS jsonb_build_object
          WHERE ((p.residual_comments <> 0) OR (p.residual_reviews <> 0) OR (p.residual_removals <> 0) OR (p.residual_score_sum <> 0))) c);
