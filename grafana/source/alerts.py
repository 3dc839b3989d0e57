"""Alert rules: query, threshold, severity, and the runbook that each message carries."""

from __future__ import annotations

from grafana.source import pipeline_health, reconciliation
from grafana.source.job_alerts import JOB_ALERTS
from grafana.source.model import Alert, Prom, Sql
from grafana.source.model_alerts import MODEL_ALERTS

_NOW_US = "(extract(epoch FROM now()) * 1000000)::bigint"

DEFECTS = Sql("""\
SELECT topic, day::text AS day, sum(defects)::bigint AS defects FROM (
    SELECT topic, day, defects FROM serving.reconciliations WHERE is_latest
     UNION ALL SELECT topic, day, defects FROM serving.published_checks) found
 WHERE defects > 0 GROUP BY topic, day""")

# From 06:00 UTC on, yesterday is due; before, the day before yesterday. A day without comments needs no run. A run
# counts only if it ended after the last decision of the day.
MISSING_RUN = Sql("""\
WITH due AS (
    SELECT day, (extract(epoch FROM day) * 1000000)::bigint AS start_us
      FROM (SELECT ((now() AT TIME ZONE 'UTC') - interval '30 hours')::date AS day) d
)
SELECT t.topic, d.day::text AS day,
       (EXISTS (SELECT FROM serving.current_panes p WHERE p.topic = t.topic AND p.start_us >= d.start_us
                   AND p.start_us < d.start_us + 86400000000)
        AND NOT EXISTS (SELECT FROM serving.reconciliations r WHERE r.topic = t.topic AND r.day = d.day
                   AND r.finished_us >= coalesce((SELECT max(m.minute_us) FROM serving.decision_minutes m
                        WHERE m.topic = t.topic AND m.minute_us < d.start_us + 86400000000), 0)))::int AS missing
  FROM (SELECT DISTINCT topic FROM serving.watermarks) t CROSS JOIN due d""")

DEAD_LETTER_RATIO = Sql(f"""\
WITH letters AS (
    SELECT DISTINCT ON (topic) topic, reason, sum(sum(letters)) OVER (PARTITION BY topic) AS letters
      FROM serving.dead_letter_minutes WHERE minute_us >= {_NOW_US} - 3600000000
     GROUP BY topic, reason ORDER BY topic, sum(letters) DESC
), decided AS (
    SELECT topic, sum(decisions) AS decisions FROM serving.decision_minutes
     WHERE minute_us >= {_NOW_US} - 3600000000 GROUP BY topic
)
SELECT topic, coalesce(reason, 'none') AS reason,
       (coalesce(letters, 0) / (coalesce(letters, 0) + coalesce(decisions, 0)))::float8 AS ratio
  FROM letters FULL JOIN decided USING (topic)""")

QUARANTINED = Sql(f"""\
SELECT topic, coalesce(sum(letters) FILTER (WHERE reason = 'processing_failed'), 0)::float8 AS records
  FROM serving.dead_letter_minutes WHERE minute_us >= {_NOW_US} - 3600000000 GROUP BY topic""")

UNREADABLE_ACTIONS = Sql(f"""\
SELECT topic, coalesce(sum(letters) FILTER (WHERE minute_us >= {_NOW_US} - 86400000000), 0)::float8 AS actions
  FROM serving.action_dead_letter_minutes GROUP BY topic""")

PARTITIONS = Sql(f"""\
SELECT days_ahead::text AS days_ahead, default_rows::text AS default_rows,
       (days_ahead < 7 OR coalesce(default_since_us < {_NOW_US} - 3600000000, false))::int AS behind
  FROM serving.decision_partitions""")

# A worker that always ends at the same record restarts repeatedly and looks healthy in between.
RESTARTS = Prom("sum(changes(moderation_worker_started_seconds[10m]))")
# Every stored row is progress: decisions, duplicates, dead letters, offsets without a record.
STALLED = Prom(
    "sum(max by (partition) (moderation_lag_records))"
    " and on () (sum(rate(moderation_accounted_offsets_total[2m])) == 0)"
)
UNREADABLE = Prom('sum(increase(moderation_hole_offsets_total{kind="unreadable"}[1h]))')
UNREAD_PARTITIONS = Prom("max(moderation_unread_partitions)")
ARCHIVE = Prom("max by (topic, partition) (moderation_archive_retention_used_ratio)")
OPEN_TRANSACTION = Prom("max by (partition) (moderation_open_transaction_seconds)")
MISSING_TOPICS = Prom("max(moderation_missing_topics)")
LAG = Prom("sum(max by (partition) (moderation_lag_records))")
# The watermark of an idle topic is old without a problem, so the delay counts only while comments are decided.
WATERMARK = Prom("max(moderation_watermark_delay_seconds) and on () (sum(rate(moderation_decisions_total[10m])) > 0)")
# The watermark is ten minutes less than the newest event time.
CLOCK_AHEAD = Prom("max by (partition) (600 - moderation_watermark_delay_seconds)")
_DECIDED = "sum by (partition) (increase(moderation_partition_decisions_total[10m]))"
LATE_SHARE = Prom(
    f"sum by (partition) (increase(moderation_partition_late_total[10m])) / {_DECIDED}"
    f" and on (partition) ({_DECIDED} > 100)"
)
_HEALTH = pipeline_health.UID

ALERTS = (
    Alert(
        uid="moderation-defect",
        title="A reconciled day has a defect",
        query=DEFECTS,
        above=0,
        for_duration="0s",
        every="5m",
        no_data_state="OK",
        severity="critical",
        summary="{{ .Labels.day }}: {{ .Values.A }} defects on {{ .Labels.topic }}",
        runbook="A record was lost, a result differs without a known cause, a decision exists only in the ledger, or "
        "a pane is not the sum of its rows. Do not promote a model. Open dashboard Reconciliation, choose the day and "
        "follow the red cause to its rows. Keep topic, ledger and lake unchanged until you know the cause. Then run "
        "`moderation reconcile --date DAY`: a revision without defects ends the alert. Defects of published topics are "
        "in panel Published topics; see the runbook. If the records are lost for "
        "good, the defect stays; silence the alert for that day.",
        panel=(reconciliation.UID, "Gap by cause"),
    ),
    Alert(
        uid="moderation-missing-run",
        title="The nightly reconciliation is missing",
        query=MISSING_RUN,
        above=0,
        for_duration="5m",
        every="5m",
        no_data_state="OK",
        severity="warning",
        summary="{{ .Labels.topic }}: no run for {{ .Labels.day }} by 06:00 UTC",
        runbook="Workers decided comments of yesterday, and no reconciliation ended after the last decision. Check "
        "the runs of DAG reconcile_windows in Airflow: it did not start (is the scheduler running, is the DAG "
        "paused?), it failed (its log names the cause), or it still runs. Without Airflow, run `moderation archive`, "
        "then `moderation reconcile --date DAY`.",
        panel=(reconciliation.UID, "Days"),
    ),
    *JOB_ALERTS,
    Alert(
        uid="moderation-lag",
        title="The workers are behind",
        query=LAG,
        above=10_000,
        for_duration="10m",
        every="1m",
        no_data_state="Alerting",
        severity="critical",
        summary="{{ .Values.A }} records wait for a decision (no number: no worker answers)",
        runbook="No data means that Prometheus cannot read any worker: run `moderation status`. Exit code 78 means "
        "that a worker stopped and needs an operator; its log names the reason. With data, open dashboard Pipeline "
        "health. If the workers decide nothing, PostgreSQL or Kafka is not available. If they decide at their full "
        "rate, start more workers, at most one for each partition. No record is lost while the topic keeps it.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-stalled",
        title="Records wait and none is stored",
        query=STALLED,
        above=0,
        for_duration="2m",
        every="1m",
        no_data_state="OK",
        severity="critical",
        summary="{{ .Values.A }} records wait, and the workers stored nothing for two minutes",
        runbook="PostgreSQL or Kafka is not available, or the worker ends at the same record repeatedly. "
        "`moderation status` and the worker's log name the cause. No record is lost while the topic keeps it. Dead "
        "letters and duplicates count as progress here; they have alerts and panels of their own.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-restarts",
        title="Workers restart repeatedly",
        query=RESTARTS,
        above=2,
        for_duration="0s",
        every="1m",
        no_data_state="OK",
        severity="critical",
        summary="{{ .Values.A }} restarts in ten minutes",
        runbook="The last lines of the worker's log name the reason. If one record ends every worker and nothing else "
        "helps, `moderation skip PARTITION OFFSET` puts that record into quarantine; the lake keeps its bytes.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-unreadable",
        title="Records could not be read and are lost",
        query=UNREADABLE,
        above=0,
        for_duration="0s",
        every="1m",
        no_data_state="OK",
        severity="critical",
        summary="{{ .Values.A }} records of the last hour could not be read",
        runbook="Their batch is damaged on the broker's disk or unpacks to more than 64 MiB. `moderation status` and "
        "table speed.holes name topic, partition, offsets and cause. Ask the producer to send them again; otherwise "
        "they are never moderated.",
        panel=(_HEALTH, "Dead letters in the time range"),
    ),
    Alert(
        uid="moderation-open-transaction",
        title="A producer left a transaction open",
        query=OPEN_TRANSACTION,
        above=300,
        for_duration="0s",
        every="1m",
        no_data_state="OK",
        severity="critical",
        summary="partition {{ .Labels.partition }}: a transaction is open for {{ .Values.A }} s; later records wait",
        runbook="The worker cannot read the records after the start of this transaction. `moderation status` and the "
        "worker's log name the producer and the command that aborts the transaction. Run the command only if the "
        "producer no longer exists: the records of an aborted transaction count as never sent.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-missing-topics",
        title="A published topic does not exist",
        query=MISSING_TOPICS,
        above=0,
        for_duration="2m",
        every="1m",
        no_data_state="OK",
        severity="critical",
        summary="{{ .Values.A }} published topics do not exist; decisions are stored and not published",
        runbook="`moderation status` names the topics; `moderation topics` creates them, and the workers publish what "
        "is pending. If a topic was deleted, `moderation republish` sends its earlier records again.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-unread-partitions",
        title="Partitions that no worker reads",
        query=UNREAD_PARTITIONS,
        above=0,
        for_duration="2m",
        every="1m",
        no_data_state="OK",
        severity="critical",
        summary="{{ .Values.A }} partitions of the topic are assigned to no worker",
        runbook="The consumer group leaves these partitions out, so their records are not decided. A worker without "
        "partitions ends after 20 seconds and its restart starts a new assignment. If the alert stays, the worker's "
        "log names the partitions: check that the topic exists, and compare `moderation status` with the members of "
        "the group (`kafka-consumer-groups.sh --describe --members --verbose`).",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-archive-retention",
        title="Retention may delete records that are not archived",
        query=ARCHIVE,
        above=0.75,
        for_duration="10m",
        every="5m",
        no_data_state="OK",
        severity="critical",
        summary="{{ .Labels.topic }} partition {{ .Labels.partition }}: the oldest record that is not archived has "
        "used the share {{ .Values.A }} of the retention",
        runbook="The broker may delete the record once the share is 1; it is lost for the lake then. `moderation lake "
        "status` shows how many offsets wait and the hours left. Check the runs of DAG archive_topics in Airflow; "
        "without Airflow, run `moderation archive`. If the archive needs more time, raise retention.ms of the topic "
        "first. Without a batch layer, silence this alert.",
        panel=(_HEALTH, "Retention used before archiving"),
    ),
    Alert(
        uid="moderation-watermark-delay",
        title="Comments are decided long after they were written",
        query=WATERMARK,
        above=3_600,
        for_duration="15m",
        every="1m",
        no_data_state="OK",
        severity="warning",
        summary="the slowest watermark is {{ .Values.A }} s old while comments arrive",
        runbook="Panes close late. If there is a lag too, follow the alert on the lag. Otherwise a source delivers "
        "old comments (a replay does this and is harmless), or one partition receives no comments: its windows close "
        "nevertheless once it was read to its end. Dashboard Pipeline health shows which partition.",
        panel=(_HEALTH, "Watermark delay by partition"),
    ),
    Alert(
        uid="moderation-clock-ahead",
        title="Event times are ahead of the clock",
        query=CLOCK_AHEAD,
        above=120,
        for_duration="5m",
        every="1m",
        no_data_state="OK",
        severity="warning",
        summary="partition {{ .Labels.partition }}: the newest event time is {{ .Values.A }} s ahead of the worker",
        runbook="A producer's clock runs ahead, or the clock of the worker or the brokers runs behind: compare them "
        "with NTP first. The ten minutes that comments may be late shrink by the difference. Comments more than five "
        "minutes ahead of their append are dead letters future_dated, and `moderation dead-letters summary` names the "
        "producer's keys. Once the clock is right, `moderation reset-watermark PARTITION` restarts the watermark.",
        panel=(_HEALTH, "Watermark delay by partition"),
    ),
    Alert(
        uid="moderation-late-share",
        title="Many comments of a partition are late",
        query=LATE_SHARE,
        above=0.2,
        for_duration="10m",
        every="1m",
        no_data_state="OK",
        severity="warning",
        summary="partition {{ .Labels.partition }}: share {{ .Values.A }} of the comments of ten minutes is late",
        runbook="Late comments are decided, but live statistics leave them out until the nightly batch. Either a "
        "source delivers old comments (a replay does this and is harmless), or event times that are wrong moved the "
        "watermark of this partition ahead. Compare the newest event times in speed.decisions with their append "
        "times. Fix the producer, then run `moderation reset-watermark PARTITION`.",
        panel=(_HEALTH, "Decisions a second by fate"),
    ),
    Alert(
        uid="moderation-dead-letters",
        title="Many records cannot be comments",
        query=DEAD_LETTER_RATIO,
        above=0.05,
        for_duration="5m",
        every="1m",
        no_data_state="OK",
        severity="warning",
        summary="{{ .Labels.topic }}: share {{ .Values.A }} of the last hour's records are dead letters, most of them "
        "{{ .Labels.reason }}",
        runbook="A producer sends invalid records. `moderation dead-letters summary` counts them by reason, field and "
        "key of the producer; `moderation dead-letters list` shows single records. Fix the producer, then run "
        "`moderation dead-letters replay`.",
        panel=(_HEALTH, "Dead letters in the time range"),
    ),
    Alert(
        uid="moderation-quarantine",
        title="Records could not be decided or stored",
        query=QUARANTINED,
        above=0,
        for_duration="0s",
        every="1m",
        no_data_state="OK",
        severity="critical",
        summary="{{ .Labels.topic }}: {{ .Values.A }} records of the last hour are in quarantine",
        runbook="These comments are not moderated: read them with `moderation dead-letters list --reason "
        "processing_failed` and decide by hand. The reason names the class of the error, which is a defect of this "
        "project: please report it. After a fix, run `moderation dead-letters replay`.",
        panel=(_HEALTH, "Dead letters in the time range"),
    ),
    Alert(
        uid="moderation-unreadable-actions",
        title="Actions of moderators cannot be read",
        query=UNREADABLE_ACTIONS,
        above=0,
        for_duration="0s",
        every="5m",
        no_data_state="OK",
        severity="warning",
        summary="{{ .Labels.topic }}: {{ .Values.A }} actions archived in the last 24 hours cannot be read",
        runbook="These actions label no comment; training and reconciliation ignore them. `moderation "
        "dead-letters list --topic actions` shows reason, field, partition and offset; the lake has their bytes. Fix "
        "the tool that sent them, then send the actions again. The alert ends a day after the last one was archived.",
        panel=(_HEALTH, "Actions that cannot be read"),
    ),
    Alert(
        uid="moderation-partitions",
        title="Partitions of the ledger are missing",
        query=PARTITIONS,
        above=0,
        for_duration="5m",
        every="5m",
        no_data_state="OK",
        severity="warning",
        summary="{{ .Labels.days_ahead }} days ahead have a partition; {{ .Labels.default_rows }} rows are in DEFAULT",
        runbook="Fewer than 7 days ahead have a partition, or rows are in speed.decisions_default for more than an "
        "hour. Decisions continue, but old days cannot be dropped cheaply. Run `moderation partitions`: it names the "
        "sessions that keep a lock. Then see why DAG create_partitions did not run.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    *MODEL_ALERTS,
)
