"""Dashboard *Pipeline health*: health, lag and refusals of the workers."""

from __future__ import annotations

from grafana.source.model import Column, Dashboard, Panel, Prom, Sql
from grafana.source.variables import TOPIC

UID = "moderation-health"

WORKERS = Prom("count(count by (instance) (moderation_batch_records_count))", "workers")
LAG = Prom("sum(max by (partition) (moderation_lag_records))", "records")
SERVING = Prom("count by (version) (moderation_serving_model == 1)", "version {{version}}")
LAG_BY_PARTITION = Prom("max by (partition) (moderation_lag_records)", "partition {{partition}}")
WATERMARK_DELAY = Prom("max by (partition) (moderation_watermark_delay_seconds)", "partition {{partition}}")
DECISIONS = Prom("sum by (fate) (rate(moderation_decisions_total[5m]))", "{{fate}}")
DEAD_LETTERS = Prom("sum by (reason) (rate(moderation_dead_letters_total[5m]))", "{{reason}}")
LATENCIES = tuple(
    Prom(f"histogram_quantile({q}, sum by (le) (rate(moderation_commit_latency_seconds_bucket[5m])))", name)
    for q, name in ((0.5, "p50"), (0.99, "p99"))
)
STAGES = Prom(
    "histogram_quantile(0.95, sum by (le, stage) (rate(moderation_stage_seconds_bucket[5m])))", "{{stage}} p95"
)
BATCHES = Prom(
    "sum(rate(moderation_batch_records_sum[5m])) / sum(rate(moderation_batch_records_count[5m]))", "records a batch"
)
EVENTS = (
    Prom("sum(increase(moderation_model_swaps_total[15m]))", "model swaps"),
    Prom("sum(increase(moderation_model_refusals_total[15m]))", "models refused"),
    Prom("sum(increase(moderation_fence_losses_total[15m]))", "partitions taken over"),
)
ARCHIVE = Prom(
    "max by (topic, partition) (moderation_archive_retention_used_ratio)", "{{topic}} partition {{partition}}"
)

LETTERS = Sql("""\
SELECT reason, sum(letters)::bigint AS letters, sum(replayed)::bigint AS replayed,
       sum(letters - replayed)::bigint AS waiting, to_timestamp(max(minute_us) / 1e6) AS newest
  FROM serving.dead_letter_minutes
 WHERE topic = ${topic:sqlstring}
   AND minute_us >= $__unixEpochNanoFrom() / 1000 AND minute_us < $__unixEpochNanoTo() / 1000
 GROUP BY reason ORDER BY letters DESC""")
ACTIONS = Sql("""\
SELECT topic, reason, field, sum(letters)::bigint AS letters, to_timestamp(max(minute_us) / 1e6) AS newest
  FROM serving.action_dead_letter_minutes
 WHERE minute_us >= $__unixEpochNanoFrom() / 1000 AND minute_us < $__unixEpochNanoTo() / 1000
 GROUP BY topic, reason, field ORDER BY letters DESC""")
PARTITIONS = Sql("""\
SELECT partition, next AS decided_upto, unpublished, to_timestamp(watermark_us / 1e6) AS watermark,
       to_timestamp(read_to_end_us / 1e6) AS read_to_end
  FROM serving.watermarks WHERE topic = ${topic:sqlstring} ORDER BY partition""")

JOBS = Sql("""\
SELECT job, to_timestamp(done_us / 1e6) AS done, to_timestamp(skipped_us / 1e6) AS skipped, skipped_reason,
       to_timestamp(failed_us / 1e6) AS failed, failed_reason
  FROM serving.jobs ORDER BY job""")


def pipeline_health() -> Dashboard:
    """Return the dashboard."""
    return Dashboard(
        uid=UID,
        title="Pipeline health",
        description="Health, lag and refusals of the workers.",
        variables=(TOPIC,),
        since="now-3h",
        refresh="30s",
        panels=(
            Panel(
                "Workers that answer",
                "Workers whose metrics Prometheus reads. If there are fewer than you started, see `moderation status` "
                "and the log of the missing one; exit code 78 means that it stopped for good, and its log gives the "
                "reason.",
                "stat",
                (WORKERS,),
                width=8,
                height=4,
            ),
            Panel(
                "Lag",
                "Records that are appended and not decided yet. If it grows at a constant rate of decisions, start "
                "another worker, up to one for each partition. If it grows while nothing is decided, PostgreSQL or "
                "Kafka is not available; see the worker's log.",
                "stat",
                (LAG,),
                width=8,
                height=4,
                thresholds=((0, "green"), (1_000, "orange"), (10_000, "red")),
            ),
            Panel(
                "Workers by serving version",
                "One version for all workers, except for seconds at a swap. None: the version with the alias "
                "`production` does not verify. Two: one worker refused the version that the other loaded; see its log.",
                "stat",
                (SERVING,),
                width=8,
                height=4,
            ),
            Panel(
                "Lag by partition",
                "If one partition lags, its worker is stuck, or one key gets most records. If all lag, start more "
                "workers.",
                "timeseries",
                (LAG_BY_PARTITION,),
            ),
            Panel(
                "Watermark delay by partition",
                "Current time minus the watermark; ten minutes are normal. It grows while a partition is idle, and "
                "while old comments are replayed. Windows of an idle partition close by the time it was read to its "
                "end.",
                "timeseries",
                (WATERMARK_DELAY,),
                unit="s",
            ),
            Panel(
                "Decisions a second by fate",
                "Late comments are decided but not counted live. Many late comments: a source sends old comments, or "
                "the clock of one source is ahead and closes panes for all. Many duplicates: a source sends records "
                "again.",
                "timeseries",
                (DECISIONS,),
                unit="cps",
                is_stacked=True,
            ),
            Panel(
                "Dead letters a second by reason",
                "Records that cannot be read as comments. A reason that appears suddenly means that a producer "
                "changed: `moderation dead-letters summary` shows which field and which keys. The worker stops only "
                "at a limit that an operator set (`MODERATION_DEAD_LETTER_SHARE`, `MODERATION_DEAD_LETTER_RUN`).",
                "timeseries",
                (DEAD_LETTERS,),
                unit="cps",
                is_stacked=True,
            ),
            Panel(
                "From append to commit",
                "How long a comment waits for its decision. If it rises with the lag, there are too few workers. If it "
                "rises without lag, PostgreSQL is slow; see the stages.",
                "timeseries",
                LATENCIES,
                unit="s",
            ),
            Panel(
                "Seconds of a batch by stage",
                "Decide is the model, store is PostgreSQL, publish is Kafka. Check the stage that grew.",
                "timeseries",
                (STAGES,),
                unit="s",
            ),
            Panel(
                "Records of a batch",
                "Batches grow with the load, up to MODERATION_BATCH_MOST_RECORDS. If they stay at this limit, the "
                "worker is at its limit too.",
                "timeseries",
                (BATCHES,),
            ),
            Panel(
                "Swaps, refusals, take-overs",
                "A refused model does not serve; the previous one continues. The worker's log names the failed check. "
                "Take-overs without a deployment mean that workers crash or freeze.",
                "timeseries",
                EVENTS,
            ),
            Panel(
                "Retention used before archiving",
                "Age of the oldest record that is not in the lake, as a share of the topic's retention. It falls with "
                "every run of the archive. At 1 the broker may delete the record: check DAG archive_topics, or run "
                "`moderation archive`.",
                "timeseries",
                (ARCHIVE,),
                width=24,
                unit="percentunit",
            ),
            Panel(
                "Batch jobs",
                "When each job of the batch layer last did its work, when it had nothing to do and why, and when an "
                "attempt failed and with which error. If *done* is old, the newer of the two others gives the reason.",
                "table",
                (JOBS,),
                width=24,
                columns={"skipped_reason": Column("reason"), "failed_reason": Column("error")},
            ),
            Panel(
                "Dead letters in the time range",
                "From the ledger, replays included. Fix the producer first, then run `moderation dead-letters replay`; "
                "wrong clocks (future_dated) can be replayed once their time has come.",
                "table",
                (LETTERS,),
                columns={"waiting": Column("not replayed")},
            ),
            Panel(
                "Actions that cannot be read",
                "Actions that the archive could not read in the time range. Training does not use them. Fix "
                "the tool that sent them and send the actions again. `moderation dead-letters list --topic actions` "
                "names partition and offset.",
                "table",
                (ACTIONS,),
                width=24,
            ),
            Panel(
                "Partitions in the ledger",
                "Next offset of each partition, and how many decisions may not be published yet. If unpublished does "
                "not fall, Kafka refuses the worker's messages; the worker sends them again from the ledger at its "
                "next start.",
                "table",
                (PARTITIONS,),
                columns={"decided_upto": Column("decided up to")},
            ),
        ),
    )
