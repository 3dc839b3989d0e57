CREATE OR REPLACE VIEW serving.decision_minutes AS
 SELECT t.topic,
    (d.append_us - (d.append_us % (60000000)::bigint)) AS minute_us,
    d.community,
    d.model_version,
    d.verdict,
    d.fate,
    count(*) AS decisions
   FROM (speed.decisions d
     JOIN ( SELECT DISTINCT source_offsets.topic_id,
            source_offsets.topic
           FROM speed.source_offsets) t USING (topic_id))
  WHERE (d.append_day >= (((now() AT TIME ZONE 'UTC'::text))::date - 1))
  GROUP BY t.topic, (d.append_us - (d.append_us % (60000000)::bigint)), d.community, d.model_version, d.verdict, d.fate;
