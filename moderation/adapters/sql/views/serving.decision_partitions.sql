CREATE OR REPLACE VIEW serving.decision_partitions AS
 WITH clock AS (
         SELECT ((now() AT TIME ZONE 'UTC'::text))::date AS today
        ), ranges AS (
         SELECT (each.bounds[1])::date AS first,
            (each.bounds[2])::date AS next
           FROM ( SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)'::text) AS bounds
                   FROM (pg_inherits i
                     JOIN pg_class c ON ((c.oid = i.inhrelid)))
                  WHERE (i.inhparent = ('speed.decisions'::regclass)::oid)) each
          WHERE (each.bounds IS NOT NULL)
        ), kept AS (
         SELECT count(*) FILTER (WHERE each.is_near) AS rows,
            min(each.stored_us) FILTER (WHERE each.is_near) AS since_us,
            count(*) FILTER (WHERE (NOT each.is_near)) AS far_rows
           FROM ( SELECT COALESCE(decisions_default.stored_us, decisions_default.append_us) AS stored_us,
                    ((decisions_default.append_day >= (clock.today - 90)) AND (decisions_default.append_day <= (clock.today + 30))) AS is_near
                   FROM (speed.decisions_default
                     CROSS JOIN clock)) each
        )
 SELECT COALESCE(( SELECT (min(n.n) - 1)
           FROM clock,
            generate_series(0, 400) n(n)
          WHERE (NOT (EXISTS ( SELECT
                   FROM ranges
                  WHERE (((clock.today + n.n) >= ranges.first) AND ((clock.today + n.n) < ranges.next)))))), 400) AS days_ahead,
    rows AS default_rows,
    since_us AS default_since_us,
    far_rows AS default_far_rows
   FROM kept;
