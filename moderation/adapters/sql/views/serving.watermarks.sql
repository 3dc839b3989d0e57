CREATE OR REPLACE VIEW serving.watermarks AS
 SELECT topic,
    topic_id,
    partition,
    next,
    (next - published_next) AS unpublished,
    newest_event_us,
    (newest_event_us - 600000000) AS watermark_us,
    read_to_end_us
   FROM speed.source_offsets;
