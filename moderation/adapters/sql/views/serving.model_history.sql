CREATE OR REPLACE VIEW serving.model_history AS
 WITH begun AS (
         SELECT o.topic,
            s.partition,
            s.from_offset,
            s.model_version,
            s.override,
            lead(s.model_version) OVER (PARTITION BY s.topic_id, s.partition ORDER BY s.from_offset) AS next_version,
            ( SELECT min(COALESCE(d.stored_us, d.append_us)) AS min
                   FROM speed.decisions d
                  WHERE ((d.topic_id = s.topic_id) AND (d.partition = s.partition) AND (d."offset" >= s.from_offset) AND (d."offset" < (s.from_offset + 100)))) AS since_us
           FROM (speed.served s
             JOIN speed.source_offsets o USING (topic_id, partition))
        ), decided AS (
         SELECT b.topic,
            b.partition,
            b.from_offset,
            b.model_version,
            b.override,
            b.next_version,
            b.since_us
           FROM begun b
          WHERE (NOT (EXISTS ( SELECT
                   FROM batch.promotions n
                  WHERE ((n.topic = b.topic) AND (n.replaced = b.model_version) AND (n.version = b.next_version) AND ((b.since_us >= (n.requested_us - 5000000)) AND (b.since_us <= (n.moved_us + 60000000)))))))
        ), matched AS (
         SELECT d.topic,
            d.partition,
            d.from_offset,
            d.model_version,
            d.override,
            d.next_version,
            d.since_us,
            p_1.request_id
           FROM (decided d
             LEFT JOIN LATERAL ( SELECT p_2.request_id
                   FROM batch.promotions p_2
                  WHERE ((p_2.topic = d.topic) AND (p_2.version = d.model_version) AND ((d.since_us IS NULL) OR (p_2.requested_us <= (d.since_us + 5000000))) AND (NOT (EXISTS ( SELECT
                           FROM batch.promotions n
                          WHERE ((n.topic = p_2.topic) AND (n.moved_us > p_2.requested_us) AND (n.request_id <> p_2.request_id) AND (n.moved_us < d.since_us))))))
                  ORDER BY p_2.requested_us DESC
                 LIMIT 1) p_1 ON (true))
        ), ordered AS (
         SELECT m.topic,
            m.partition,
            m.from_offset,
            m.model_version,
            m.override,
            m.next_version,
            m.since_us,
            m.request_id,
            (COALESCE(m.request_id, m.model_version) IS DISTINCT FROM lag(COALESCE(m.request_id, m.model_version)) OVER (PARTITION BY m.topic ORDER BY m.since_us NULLS FIRST, m.from_offset, m.partition)) AS begins
           FROM matched m
        ), numbered AS (
         SELECT o.topic,
            o.partition,
            o.from_offset,
            o.model_version,
            o.override,
            o.next_version,
            o.since_us,
            o.request_id,
            o.begins,
                CASE
                    WHEN (o.request_id IS NULL) THEN sum((o.begins)::integer) OVER (PARTITION BY o.topic ORDER BY o.since_us NULLS FIRST, o.from_offset, o.partition)
                    ELSE NULL::bigint
                END AS nth
           FROM ordered o
        ), served AS (
         SELECT numbered.topic,
            numbered.model_version,
            numbered.request_id,
            numbered.nth,
            min(numbered.since_us) AS first_decision_us,
            max(numbered.override) AS override,
            jsonb_object_agg((numbered.partition)::text, numbered.from_offset ORDER BY numbered.from_offset DESC) AS from_offsets
           FROM numbered
          GROUP BY numbered.topic, numbered.model_version, numbered.request_id, numbered.nth
        ), periods AS (
         SELECT COALESCE(p_1.topic, s.topic) AS topic,
            p_1.model_name,
            COALESCE(p_1.version, s.model_version) AS version,
            COALESCE(p_1.moved_us, s.first_decision_us) AS since_us,
            s.first_decision_us,
            s.from_offsets,
            p_1.replaced,
            COALESCE(p_1.kind,
                CASE
                    WHEN oldest.unrecorded THEN 'not recorded'::text
                    ELSE 'by hand'::text
                END) AS kind,
            COALESCE(p_1.requested_by,
                CASE
                    WHEN oldest.unrecorded THEN 'not recorded'::text
                    ELSE 'by hand in MLflow'::text
                END) AS promoted_by,
            p_1.reason,
            p_1.gate,
            p_1.gate_reasons,
            p_1.model_digest,
            p_1.requested_from,
            p_1.requested_us,
            (p_1.moved_us IS NOT NULL) AS is_confirmed,
            s.override
           FROM ((served s
             FULL JOIN batch.promotions p_1 ON ((p_1.request_id = s.request_id)))
             CROSS JOIN LATERAL ( SELECT ((COALESCE(s.first_decision_us, (0)::bigint) < min(f.requested_us)) IS NOT FALSE) AS unrecorded
                   FROM batch.promotions f
                  WHERE (f.topic = s.topic)) oldest)
          WHERE ((s.topic IS NOT NULL) OR (p_1.moved_us IS NOT NULL))
        )
 SELECT topic,
    model_name,
    version,
    since_us,
    first_decision_us,
    from_offsets,
    replaced,
    kind,
    promoted_by,
    reason,
    gate,
    gate_reasons,
    model_digest,
    requested_from,
    requested_us,
    is_confirmed,
    lead(since_us) OVER (PARTITION BY topic ORDER BY since_us NULLS FIRST, version) AS until_us,
    override
   FROM periods p;
