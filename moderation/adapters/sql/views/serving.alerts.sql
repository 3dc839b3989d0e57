CREATE OR REPLACE VIEW serving.alerts AS
 SELECT t.topic,
    d.append_us,
    d.event_time_us,
    d.community,
    d.comment_id,
    d.score_ppm,
    d.verdict,
    d.model_version,
    d.policy_version,
    d.reasons,
    d.partition,
    d."offset"
   FROM (speed.decisions d
     JOIN ( SELECT DISTINCT source_offsets.topic_id,
            source_offsets.topic
           FROM speed.source_offsets) t USING (topic_id))
  WHERE ((d.append_day >= (((now() AT TIME ZONE 'UTC'::text))::date - 1)) AND (d.verdict <> 'allow'::text));
