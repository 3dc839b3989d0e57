CREATE OR REPLACE VIEW serving.reconciled_differences AS
 SELECT r.topic,
    r.day,
    r.revision,
    d.run_id,
    d.topic_id,
    d.partition,
    d."offset",
    d.community,
    d.start_us,
    d.model_version,
    d.policy_version,
    d.cause,
    d.comments,
    d.reviews,
    d.removals,
    d.score_sum,
    d.comment_id,
    d.event_time_us,
    d.batch_score_ppm,
    d.batch_verdict,
    d.speed_score_ppm,
    d.speed_verdict,
    d.speed_fate
   FROM (serving.reconciliations r
     JOIN batch.differences d USING (run_id))
  WHERE r.is_latest;
