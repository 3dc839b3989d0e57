"""Alert rules: what should wake somebody, or wait for the morning, and what to do then."""

from __future__ import annotations

from local.grafana import pipeline_health, reconciliation
from local.grafana.parts import Alert, Prom, Sql

_NOW_US = "(extract(epoch FROM now()) * 1000000)::bigint"

DEFECTS = Sql("""\
SELECT topic, day::text AS day, defects FROM serving.reconciliations WHERE is_latest AND defects > 0""")

# From 06:00 UTC on yesterday is due, until then the day before. Nothing is missing for a day without comments. A run
# counts when it ended after the day's last decision: one made at noon does not stand for the evening.
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

PARTITIONS = Sql(f"""\
SELECT days_ahead::text AS days_ahead, default_rows::text AS default_rows,
       (days_ahead < 7 OR coalesce(default_since_us < {_NOW_US} - 3600000000, false))::int AS behind
  FROM serving.decision_partitions""")

# A worker that stops at one record for ever is started again and again, and looks healthy in between.
RESTARTS = Prom("sum(changes(moderation_worker_started_seconds[10m]))")
STALLED = Prom(
    "sum(max by (partition) (moderation_lag_records)) and on () (sum(rate(moderation_decisions_total[2m])) == 0)"
)
UNREADABLE = Prom('sum(increase(moderation_hole_offsets_total{kind="unreadable"}[1h]))')
OPEN_TRANSACTION = Prom("max by (partition) (moderation_open_transaction_seconds)")
LAG = Prom("sum(max by (partition) (moderation_lag_records))")
# An idle topic has an old watermark and no problem: only while decisions are made does the delay mean anything.
WATERMARK = Prom("max(moderation_watermark_delay_seconds) and on () (sum(rate(moderation_decisions_total[10m])) > 0)")
# The first refusal makes the series; increase() does not see a series begin.
REFUSED = Prom(
    "sum by (version) (moderation_model_refusals_total unless moderation_model_refusals_total offset 1h)"
    " or sum by (version) (increase(moderation_model_refusals_total[1h])) > 0"
)

_HEALTH = pipeline_health.UID

ALERTS = (
    Alert(
        uid="moderation-defect",
        title="A reconciled day has a defect",
        query=DEFECTS,
        above=0,
        lasting="0s",
        every="5m",
        silence="OK",
        severity="critical",
        summary="{{ .Labels.day }}: {{ .Values.A }} defects on {{ .Labels.topic }}",
        runbook="A record was lost, differs without a cause, exists in the ledger only, or a pane is not the sum of "
        "its rows. Promote nothing. Open dashboard Reconciliation, choose the day, follow the red cause to its rows, "
        "and keep topic, ledger and lake as they are until they are understood. Then `moderation reconcile --date "
        "DAY`: a revision without defects ends the alert. A loss that is final stays a defect: silence the alert for "
        "that day.",
        panel=(reconciliation.UID, "Gap by cause"),
    ),
    Alert(
        uid="moderation-missing-run",
        title="The nightly reconciliation is missing",
        query=MISSING_RUN,
        above=0,
        lasting="5m",
        every="5m",
        silence="OK",
        severity="warning",
        summary="{{ .Labels.topic }}: no run for {{ .Labels.day }} by 06:00 UTC",
        runbook="Comments of yesterday were decided and no reconciliation ended after them. Look at the "
        "reconciliation's runs in Airflow: not started (is the scheduler up, is the DAG paused?), failed (its log "
        "names the cause), or still at work. Without Airflow: `moderation archive`, then `moderation reconcile --date "
        "DAY`.",
        panel=(reconciliation.UID, "Days"),
    ),
    Alert(
        uid="moderation-lag",
        title="The workers are behind",
        query=LAG,
        above=10_000,
        lasting="10m",
        every="1m",
        silence="Alerting",
        severity="critical",
        summary="{{ .Values.A }} records wait for a decision (no number: no worker answers)",
        runbook="No data means that Prometheus reads no worker: `moderation status`; exit code 78 means that a worker "
        "stopped for good and its log says why. Otherwise see Pipeline health: nothing decided means that PostgreSQL "
        "or Kafka is away; decided at full rate means too little capacity: start another worker, up to one for each "
        "partition. Nothing is lost while the topic keeps the records.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-stalled",
        title="Records wait and none is decided",
        query=STALLED,
        above=0,
        lasting="2m",
        every="1m",
        silence="OK",
        severity="critical",
        summary="{{ .Values.A }} records wait, and none was decided for two minutes",
        runbook="PostgreSQL or Kafka is away, or the worker ends at the same place again and again: `moderation "
        "status` and the worker's log name it. Nothing is lost while the topic keeps the records.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-restarts",
        title="Workers are started again and again",
        query=RESTARTS,
        above=2,
        lasting="0s",
        every="1m",
        silence="OK",
        severity="critical",
        summary="{{ .Values.A }} restarts in ten minutes",
        runbook="The last lines of the worker's log say why it ended. If it ends at one record: `moderation skip "
        "PARTITION OFFSET` passes over it, once everything else was tried; the lake keeps its bytes.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-unreadable",
        title="Records could not be read and are lost",
        query=UNREADABLE,
        above=0,
        lasting="0s",
        every="1m",
        silence="OK",
        severity="critical",
        summary="{{ .Values.A }} records of the last hour could not be read",
        runbook="Their batch is damaged on the broker's disk or unpacks to more than 64 MiB. `moderation status` and "
        "table speed.holes name topic, partition, offsets and cause. Ask the producer for them again; without that, "
        "nobody moderates them.",
        panel=(_HEALTH, "Dead letters in the time range"),
    ),
    Alert(
        uid="moderation-open-transaction",
        title="A producer left a transaction open",
        query=OPEN_TRANSACTION,
        above=300,
        lasting="0s",
        every="1m",
        silence="OK",
        severity="critical",
        summary="partition {{ .Labels.partition }}: a transaction is open for {{ .Values.A }} s; later records wait",
        runbook="`moderation status` and the worker's log name the producer and the command that ends its transaction. "
        "Use it only if the producer is gone: the records of the transaction count as never sent then.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-watermark-delay",
        title="Comments are decided long after they were written",
        query=WATERMARK,
        above=3_600,
        lasting="15m",
        every="1m",
        silence="OK",
        severity="warning",
        summary="the slowest watermark is {{ .Values.A }} s old while comments arrive",
        runbook="Windows stay open and live numbers lag. With a lag as well: see the alert on it. Without one: a "
        "source delivers old comments (a replay is one, and harmless), or one partition gets none; Pipeline health "
        "shows which.",
        panel=(_HEALTH, "Watermark delay by partition"),
    ),
    Alert(
        uid="moderation-dead-letters",
        title="Many records cannot be comments",
        query=DEAD_LETTER_RATIO,
        above=0.05,
        lasting="5m",
        every="1m",
        silence="OK",
        severity="warning",
        summary="{{ .Labels.topic }}: share {{ .Values.A }} of the last hour's records are dead letters, most of them "
        "{{ .Labels.reason }}",
        runbook="A producer sends what is no comment. `moderation dead-letters list` shows reasons and records; mend "
        "the producer, then `moderation dead-letters replay`.",
        panel=(_HEALTH, "Dead letters in the time range"),
    ),
    Alert(
        uid="moderation-quarantine",
        title="Records could not be decided or stored",
        query=QUARANTINED,
        above=0,
        lasting="0s",
        every="1m",
        silence="OK",
        severity="critical",
        summary="{{ .Labels.topic }}: {{ .Values.A }} records of the last hour are in quarantine",
        runbook="Nobody moderates these comments: read them with `moderation dead-letters list --reason "
        "processing_failed` and decide by hand. The reason names the class of the error: a defect of this project, "
        "please report it. Once it is corrected, `moderation dead-letters replay`.",
        panel=(_HEALTH, "Dead letters in the time range"),
    ),
    Alert(
        uid="moderation-partitions",
        title="Partitions of the ledger are missing",
        query=PARTITIONS,
        above=0,
        lasting="5m",
        every="5m",
        silence="OK",
        severity="warning",
        summary="{{ .Labels.days_ahead }} days ahead have a partition; {{ .Labels.default_rows }} rows are in DEFAULT",
        runbook="Fewer than 7 days ahead have a partition, or rows are in speed.decisions_default for more than an "
        "hour. Decisions go on, but old days cannot be dropped cheaply. Run `moderation partitions`: it names the "
        "sessions that keep a lock. Then see why DAG create_partitions did not run.",
        panel=(_HEALTH, "Lag by partition"),
    ),
    Alert(
        uid="moderation-refused-model",
        title="A model version was refused",
        query=REFUSED,
        above=0,
        lasting="0s",
        every="1m",
        silence="OK",
        severity="critical",
        summary="version {{ .Labels.version }} has the alias production and does not verify",
        runbook="The worker keeps serving the old version. Its log and `/model` say what failed: certificate, digest, "
        "types, golden rows or kernel version. Move the alias back to a version that verifies, then find out who "
        "registered or changed this one: a digest that differs means that the file was altered.",
        panel=(_HEALTH, "Workers by serving version"),
    ),
)
