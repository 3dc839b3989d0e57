CREATE OR REPLACE VIEW serving.agreement AS
 SELECT r.topic,
    r.day,
    m.key AS model_version,
    a.key AS action,
    v.key AS verdict,
    (v.value)::bigint AS comments
   FROM ((((serving.reconciliations r
     JOIN batch.runs b USING (run_id))
     CROSS JOIN LATERAL jsonb_each(b.agreement) m(key, value))
     CROSS JOIN LATERAL jsonb_each(m.value) a(key, value))
     CROSS JOIN LATERAL jsonb_each_text(a.value) v(key, value))
  WHERE r.is_latest;
