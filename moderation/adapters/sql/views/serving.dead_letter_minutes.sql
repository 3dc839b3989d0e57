CREATE OR REPLACE VIEW serving.dead_letter_minutes AS
 SELECT t.topic,
    (l.append_us - (l.append_us % (60000000)::bigint)) AS minute_us,
    l.reason,
    count(*) AS letters,
    count(*) FILTER (WHERE (l.replayed_as_offset IS NOT NULL)) AS replayed
   FROM (speed.dead_letters l
     JOIN ( SELECT DISTINCT source_offsets.topic_id,
            source_offsets.topic
           FROM speed.source_offsets) t USING (topic_id))
  GROUP BY t.topic, (l.append_us - (l.append_us % (60000000)::bigint)), l.reason;
