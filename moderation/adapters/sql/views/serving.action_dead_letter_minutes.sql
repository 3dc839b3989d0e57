CREATE OR REPLACE VIEW serving.action_dead_letter_minutes AS
 SELECT topic,
    (archived_us - (archived_us % (60000000)::bigint)) AS minute_us,
    reason,
    field,
    count(*) AS letters
   FROM batch.action_dead_letters
  GROUP BY topic, (archived_us - (archived_us % (60000000)::bigint)), reason, field;
