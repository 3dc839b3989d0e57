CREATE OR REPLACE VIEW serving.workload AS
 SELECT topic,
    ('1970-01-01'::date + ((start_us / '86400000000'::bigint))::integer) AS day,
    community,
    model_version,
    policy_version,
    (sum(comments))::bigint AS comments,
    (sum(reviews))::bigint AS reviews,
    (sum(removals))::bigint AS removals,
    (sum(score_sum))::bigint AS score_sum,
    bool_and((revision IS NOT NULL)) AS is_final
   FROM serving.current_panes
  GROUP BY topic, ('1970-01-01'::date + ((start_us / '86400000000'::bigint))::integer), community, model_version, policy_version;
