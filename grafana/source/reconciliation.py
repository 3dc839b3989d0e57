"""Dashboard *Reconciliation*: results of batch and speed layer for a day, and the cause of every difference."""

from __future__ import annotations

from grafana.source.model import Column, Dashboard, Link, Panel, Sql, Variable
from grafana.source.variables import MODEL_COLUMN, TOPIC, VERDICT_COLOURS, Addresses, link_variables
from moderation.contracts import Cause
from moderation.panes import MEASURES

UID = "moderation-reconciliation"
RESIDUAL, NOT_RECOMPUTED = "residual", "not_recomputed"
MEANINGS = {
    Cause.UNARCHIVED: "decided, not in the lake yet; the next archive run adds it",
    Cause.UNPROCESSED: "in the lake, not decided yet when the run began; the worker is behind",
    Cause.QUARANTINED: "could not be decided or stored; a dead letter processing_failed has it",
    Cause.LOST: "in the lake, never decided, no dead letter: a record was lost",
    Cause.PHANTOM: "decided, but the lake has no such record",
    Cause.WRONG_LETTER: "the dead letter has another reason, digest or length, or its rules read the record",
    Cause.RECOVERED: "was a dead letter; counted since it was replayed or other rules read it",
    Cause.LATE: "arrived after its pane was closed; only the batch counts it",
    Cause.DUPLICATE: "a copy that the speed layer counted again; the batch counts the first",
    Cause.OTHER_MODEL: "scored by a model whose digest is not the one that the ledger recorded for the version",
    Cause.POLICY: "carries another policy version than served there; 0 if stored versions are correct",
    Cause.RESCORED: "carries another model or kernel version than served there; 0 if stored versions are correct",
    Cause.UNEXPLAINED: "differs without a known cause",
    Cause.OTHER_ID: "the decision has another comment id or record id than the record",
    Cause.OTHER_TIME: "the decision has another append time than the record",
    Cause.OTHER_REASONS: "the decision has other reasons than the model gives",
    Cause.MISSING_LETTER: "a record that cannot be read has no dead letter",
    Cause.PHANTOM_LETTER: "a dead letter whose record the lake does not have",
}
RED_CAUSES = tuple(cause.value for cause in Cause if cause.is_defect)
_DEFECT_LIST = ", ".join(f"'{cause}'" for cause in RED_CAUSES)
# Dead letters and records that cannot be recomputed are in no pane, so that only the run counts them.
_OF_RUN = ", ".join(
    f"'{cause}'" for cause in (Cause.WRONG_LETTER, Cause.MISSING_LETTER, Cause.PHANTOM_LETTER, NOT_RECOMPUTED)
)

_OWN = "topic = ${topic:sqlstring} AND day = nullif(${day:sqlstring}, '')::date"
_CHOSEN = (
    f"{_OWN} AND community = ANY(ARRAY[${{community:sqlstring}}]::text[])"
    " AND model_version = ANY(ARRAY[${model_version:sqlstring}]::text[])"
)
_HOUR = "to_char(to_timestamp({}start_us / 1e6) AT TIME ZONE 'UTC', 'HH24:\"00\"')"


def _each(expression: str) -> str:
    return ", ".join(expression.format(measure) for measure in MEASURES)


def _sums(column: str, prefix: str = "") -> str:
    return ", ".join(f"coalesce(sum({column.format(m)}), 0)::bigint AS {prefix}{m}" for m in MEASURES)


def _cause_values() -> str:
    rows = [(cause.value, cause.is_defect, meaning) for cause, meaning in MEANINGS.items()]
    rows.append((NOT_RECOMPUTED, True, "records that only the batch cannot parse or score; the log names them"))
    rows.append((RESIDUAL, True, "panes that differ from the sum of their ledger rows"))
    return ", ".join(f"({n}, '{cause}', {defect}, '{text}')" for n, (cause, defect, text) in enumerate(rows))


STATE = Sql(f"SELECT state || ', revision ' || revision AS state FROM serving.day_states WHERE {_OWN}")
COMMENTS = Sql(f"""\
SELECT batch_comments AS batch, speed_comments AS speed, batch_comments - speed_comments AS gap
  FROM serving.reconciliations WHERE is_latest AND {_OWN}""")
DEFECTS = Sql(f"""\
SELECT lost, unexplained, phantom, residual, defects - lost - unexplained - phantom - residual AS other
  FROM serving.reconciliations WHERE is_latest AND {_OWN}""")

GAP = Sql(f"""\
WITH sides AS (
    SELECT {_sums("batch_{}", "batch_")}, {_sums("speed_{}", "speed_")}
      FROM serving.reconciled_panes WHERE {_CHOSEN}
), causes AS (
    SELECT v.place, v.cause, v.is_defect, v.meaning, CASE WHEN v.cause IN ({_OF_RUN}) THEN coalesce((
               SELECT (r.causes->>v.cause)::bigint FROM serving.reconciliations r WHERE r.is_latest AND {_OWN}), 0)
           ELSE coalesce(sum(c.rows), 0)::bigint END AS rows, {_sums("c.{}")}
      FROM (VALUES {_cause_values()}) AS v(place, cause, is_defect, meaning)
      LEFT JOIN (SELECT * FROM serving.reconciled_causes WHERE {_CHOSEN}) c USING (cause)
     GROUP BY v.place, v.cause, v.is_defect, v.meaning
)
SELECT term, rows, {", ".join(MEASURES)}, meaning, kind, cause FROM (
    SELECT -3 AS place, 'batch' AS term, NULL::bigint AS rows, {_each("batch_{0} AS {0}")},
           'recomputed from the lake' AS meaning, 'side' AS kind, '$__all' AS cause FROM sides
    UNION ALL
    SELECT -2, 'less speed', NULL, {_each("-speed_{}")},
           'panes as the worker kept them', 'side', '$__all' FROM sides
    UNION ALL
    SELECT -1, 'is the gap', NULL, {_each("batch_{0} - speed_{0}")},
           'the sum of the causes below', 'sum', '$__all' FROM sides
    UNION ALL
    SELECT place, cause, rows, {", ".join(MEASURES)}, meaning,
           CASE WHEN is_defect THEN 'defect' ELSE 'expected' END, cause FROM causes
    UNION ALL
    SELECT 100, 'left over', NULL, {_each("batch_{0} - speed_{0} - (SELECT sum({0}) FROM causes)::bigint")},
           'the gap minus all causes: always 0', 'sum', '$__all' FROM sides
    ) terms
 ORDER BY place""")

HOURS = Sql(f"""\
SELECT {_HOUR.format("")} AS hour,
       sum(batch_comments)::bigint AS batch, sum(speed_comments)::bigint AS speed
  FROM serving.reconciled_panes WHERE {_CHOSEN}
 GROUP BY 1 ORDER BY 1""")

WINDOWS = Sql(f"""\
WITH causes AS (
    SELECT hour, community, string_agg(cause || ' ' || rows, ', ' ORDER BY rows DESC, cause) AS causes FROM (
        SELECT {_HOUR.format("")} AS hour, community, cause, sum(rows) AS rows
          FROM serving.reconciled_causes WHERE {_CHOSEN} GROUP BY 1, 2, 3) c
     GROUP BY hour, community
), hours AS (
    SELECT {_HOUR.format("")} AS hour, community,
           sum(batch_comments)::bigint AS batch, sum(speed_comments)::bigint AS speed,
           sum(batch_comments - speed_comments)::bigint AS gap,
           sum(batch_reviews)::bigint AS batch_reviews, sum(speed_reviews)::bigint AS speed_reviews,
           sum(batch_removals)::bigint AS batch_removals, sum(speed_removals)::bigint AS speed_removals
      FROM serving.reconciled_panes WHERE {_CHOSEN} GROUP BY 1, 2
)
SELECT h.*, coalesce(c.causes, '') AS causes FROM hours h LEFT JOIN causes c USING (hour, community)
 ORDER BY hour, community""")

DIFFERENCES = Sql(f"""\
SELECT cause, to_timestamp(event_time_us / 1e6) AS written, community, comment_id,
       comments, reviews, removals, score_sum, batch_verdict, batch_score_ppm,
       speed_verdict, speed_score_ppm, speed_fate, model_version, policy_version, partition, "offset"
  FROM serving.reconciled_differences
 WHERE {_OWN} AND (community = '' OR ({_CHOSEN})) AND cause = ANY(ARRAY[${{cause:sqlstring}}]::text[])
 ORDER BY cause IN ({_DEFECT_LIST}) DESC, cause, event_time_us, partition, "offset" LIMIT 200""")

_RESIDUALS = _each("residual_{}")
RESIDUAL_PANES = Sql(f"""\
SELECT to_timestamp(start_us / 1e6) AS pane, community, model_version, policy_version, partition,
       batch_comments, speed_comments, {_RESIDUALS}
  FROM serving.reconciled_panes WHERE {_CHOSEN} AND ({_RESIDUALS}) <> (0, 0, 0, 0)
 ORDER BY start_us, community, partition LIMIT 200""")

RUNS = Sql(f"""\
SELECT revision, state, batch_comments, speed_comments, defects, to_timestamp(finished_us / 1e6) AS finished,
       round((finished_us - begun_us) / 1e6, 1)::float8 AS seconds, engine, kernel_version, code_version, started_by,
       CASE WHEN started_by ~ '^https?://' THEN started_by END AS airflow_run, differences_url
  FROM serving.reconciliations WHERE {_OWN} ORDER BY revision DESC""")

PUBLISHED = Sql(f"""\
SELECT published AS topic, compared, unpublished, published_otherwise, published_unknown,
       coalesce(skipped, '') AS skipped, to_timestamp(checked_us / 1e6) AS checked
  FROM serving.published_checks WHERE {_OWN} ORDER BY published""")

DAYS = Sql("""\
SELECT r.day::text AS day, s.state, r.revision, batch_comments, speed_comments, batch_comments - speed_comments AS gap,
       defects, lost, unexplained, phantom, residual, s.stored_scores, s.late_after,
       concat_ws('; ', nullif(s.frozen_reason, ''), nullif(s.stored_reason, '')) AS reason,
       to_timestamp(finished_us / 1e6) AS finished
  FROM serving.reconciliations r JOIN serving.day_states s ON s.topic = r.topic AND s.day = r.day
 WHERE is_latest AND r.topic = ${topic:sqlstring} AND $__timeFilter(r.day)
 ORDER BY r.day DESC""")

TREND = Sql("""\
SELECT day::timestamp AT TIME ZONE 'UTC' AS time, c.key AS metric, c.value::bigint AS value
  FROM serving.reconciliations, jsonb_each_text(causes || jsonb_build_object('residual', residual)) c
 WHERE is_latest AND topic = ${topic:sqlstring} AND $__timeFilter(day) ORDER BY 1, 2""")

RELIABILITY = Sql("""\
SELECT CASE age_us WHEN 0 THEN 'at its end' ELSE (age_us / 60000000) || ' min later' END AS looked_at,
       windows, error_p50, error_p95
  FROM serving.provisional_errors WHERE topic = ${topic:sqlstring} ORDER BY age_us""")

DAY = Variable(
    "day",
    "Day",
    "SELECT day::text FROM serving.reconciliations WHERE is_latest AND topic = ${topic:sqlstring} ORDER BY day DESC",
)
CHOICES = (
    TOPIC,
    DAY,
    Variable(
        "community",
        "Community",
        f"SELECT DISTINCT community FROM serving.reconciled_panes WHERE {_OWN} ORDER BY community",
        is_many=True,
    ),
    Variable(
        "model_version",
        "Model version",
        f"SELECT DISTINCT model_version FROM serving.reconciled_panes WHERE {_OWN} ORDER BY model_version",
        is_many=True,
    ),
    Variable(
        "cause",
        "Cause",
        f"SELECT cause FROM (VALUES {', '.join(f'({n}, {cause.value!r})' for n, cause in enumerate(Cause))})"
        " AS v(place, cause) ORDER BY place",
        is_many=True,
    ),
)

_HERE = f"/d/{UID}?${{topic:queryparam}}&${{__url_time_range}}"
_DAY_LINK = Link("Show this day", f"{_HERE}&var-day=${{__data.fields.day}}")
_CAUSE_LINK = Link("Show rows of this cause", f"{_HERE}&${{day:queryparam}}&var-cause=${{__data.fields.cause}}")
_STATES = {"final": "green", "provisional": "orange", "frozen": "blue", "final with stored scores": "blue"}
_RED = Column(red_from=1)
_SHARE = Column(unit="percentunit")


def reconciliation(addresses: Addresses) -> Dashboard:
    """Return the dashboard; ``moderation preview`` shows its first panels."""
    return Dashboard(
        uid=UID,
        title="Reconciliation",
        description="A day recomputed from the lake, compared with the speed layer; every difference with its cause.",
        variables=(*CHOICES, *link_variables(addresses)),
        since="now-30d",
        panels=(
            Panel(
                "State",
                "Final: all records of the day were archived and decided, so its numbers come from the batch. "
                "Provisional: run the reconciliation again once archive and worker have caught up. Frozen: decisions "
                "of the day were dropped, so it keeps the results of its last run. Stored scores: a version that "
                "decided cannot be opened any more, so its scores are those of the ledger. A new revision means that "
                "the numbers changed; the table of runs keeps the old ones.",
                "stat",
                (STATE,),
                width=6,
                height=4,
            ),
            Panel(
                "Comments",
                "Comments of the whole day, independent of the variables above. Late comments cause a normal gap; the "
                "table below lists the causes.",
                "stat",
                (COMMENTS,),
                width=9,
                height=4,
            ),
            Panel(
                "Defects",
                "All must be 0. Residual counts panes, the others rows: choose the cause above to see them. Other is "
                "the sum of the other defects in the table below. Do not promote a model from a day with defects; keep "
                "topic and ledger unchanged and examine the rows first.",
                "stat",
                (DEFECTS,),
                width=9,
                height=4,
                thresholds=((0, "green"), (1, "red")),
            ),
            Panel(
                "Gap by cause",
                "The gap is batch minus speed. The causes and the residual add up to the gap in every measure. Red "
                "causes are defects. Click a cause to see its rows.",
                "table",
                (GAP,),
                width=24,
                height=13,
                columns={
                    "term": Column(link=_CAUSE_LINK, width=130),
                    "score_sum": Column("score sum (ppm)"),
                    "meaning": Column(width=480),
                    "kind": Column(colours={"defect": "red", "expected": "blue", "sum": "text", "side": "text"}),
                    "cause": Column(hidden=True),
                },
            ),
            Panel(
                "Hours, batch beside speed",
                "Comments by hour of event time (UTC), of the chosen communities and versions. If the speed layer is "
                "lower, comments arrived late; if it is higher, look for duplicates.",
                "barchart",
                (HOURS,),
                width=24,
            ),
            Panel(
                "Windows by community",
                "The same by community, with the causes of each difference. If one community has a gap, check how its "
                "comments arrive. If all have a gap in the same hours, check the worker at that time.",
                "table",
                (WINDOWS,),
                width=24,
                height=10,
                columns={"causes": Column(width=320)},
            ),
            Panel(
                "Rows that differ",
                "At most 200 rows, defects first; numbers are batch minus speed. All rows of a run are in the Parquet "
                "file that the table of runs names. Partition and offset identify the record.",
                "table",
                (DIFFERENCES,),
                width=24,
                height=11,
                columns={
                    "cause": Column(colours=dict.fromkeys(RED_CAUSES, "red")),
                    "score_sum": Column("score sum (ppm)"),
                    "batch_verdict": Column(colours=VERDICT_COLOURS),
                    "speed_verdict": Column(colours=VERDICT_COLOURS),
                    "model_version": MODEL_COLUMN,
                },
            ),
            Panel(
                "Panes with a residual",
                "Must be empty. If a pane differs from the sum of its ledger rows, something other than the worker "
                "changed it, or the worker has a defect: promote no model, keep the database and find the writer.",
                "table",
                (RESIDUAL_PANES,),
                width=24,
                height=6,
                columns={f"residual_{measure}": _RED for measure in MEASURES} | {"model_version": MODEL_COLUMN},
            ),
            Panel(
                "Published topics",
                "Decisions and alerts appended on the day, and panes of the day, beside the topics: rows that a topic "
                "lacks, has otherwise, or that only the topic has. All must be 0; otherwise see runbooks, Published "
                "topics differ from the ledger.",
                "table",
                (PUBLISHED,),
                width=24,
                height=5,
                columns=dict.fromkeys(("unpublished", "published_otherwise", "published_unknown"), _RED),
            ),
            Panel(
                "Runs of this day",
                "Every revision, newest first: who started it, how long it took, where its differences are stored. "
                "If a run is missing, slow or wrong, open the log of the Airflow run.",
                "table",
                (RUNS,),
                width=24,
                height=6,
                columns={
                    "state": Column(colours=_STATES),
                    "defects": _RED,
                    "seconds": Column(unit="s"),
                    "airflow_run": Column(
                        "Airflow run", link=Link("Open the run in Airflow", "${__data.fields.airflow_run:raw}")
                    ),
                    "differences_url": Column("all differences"),
                },
            ),
            Panel(
                "Days",
                "The last run of every day in the time range. If a day before yesterday is provisional, run it again. "
                "If a day is missing, see the runs of the DAG in Airflow. Stored scores counts rows that were not "
                "scored again; late after counts comments that came after a day was frozen; the reason says why.",
                "table",
                (DAYS,),
                width=14,
                height=10,
                columns={
                    "day": Column(link=_DAY_LINK),
                    "state": Column(colours=_STATES),
                    **dict.fromkeys(("defects", "lost", "unexplained", "phantom", "residual"), _RED),
                },
            ),
            Panel(
                "How wrong provisional numbers were",
                "Hours of the last 28 final days: the difference between the count of the speed layer and the final "
                "count when the hour ended, and later. It shows how long to wait before acting on an hour. If it gets "
                "much worse, comments arrive later than before.",
                "table",
                (RELIABILITY,),
                width=10,
                height=10,
                columns={"looked_at": Column("looked at"), "error_p50": _SHARE, "error_p95": _SHARE},
            ),
            Panel(
                "Differing rows by cause, day by day",
                "Late rows and copies vary with traffic. Examine a cause that grows day by day, and any policy or "
                "rescored row, which no promotion explains. Examine every defect the same day.",
                "timeseries",
                (TREND,),
                width=24,
                height=9,
            ),
        ),
    )
