CREATE OR REPLACE VIEW serving.published_checks AS
 SELECT topic,
    day,
    published,
    compared,
    unpublished,
    published_otherwise,
    published_unknown,
    ((unpublished + published_otherwise) + published_unknown) AS defects,
    examples,
    skipped,
    checked_us
   FROM batch.published_checks;
