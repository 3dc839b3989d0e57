CREATE OR REPLACE VIEW serving.served_versions AS
 SELECT o.topic,
    s.partition,
    s.from_offset,
    s.model_version,
    s.policy_version,
    s.kernel_version,
    ( SELECT min(d.append_us) AS min
           FROM speed.decisions d
          WHERE ((d.topic_id = s.topic_id) AND (d.partition = s.partition) AND (d."offset" >= s.from_offset) AND (d."offset" < (s.from_offset + 100)))) AS since_us,
    s.override
   FROM (speed.served s
     JOIN speed.source_offsets o USING (topic_id, partition));
