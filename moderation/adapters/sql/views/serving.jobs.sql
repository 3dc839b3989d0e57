CREATE OR REPLACE VIEW serving.jobs AS
 SELECT job,
    first_us,
    done_us,
    skipped_us,
    skipped_reason,
    failed_us,
    failed_reason
   FROM batch.jobs;
