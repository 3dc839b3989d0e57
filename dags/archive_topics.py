"""Archives every comment and every action from Kafka into the lake, each offset once.

## What
One task per topic, `archive_comments` and `archive_actions`. Each goes on where the lake's manifest ends, reads every
partition up to its present end, and writes files of one contiguous offset range and one append day.

## When
Five minutes past every hour, UTC. The run has no window: offsets say what is to be done, not the clock. Hours that were
missed are made up for by the next run, so there is no catch-up. The DAG is active from the start, because Kafka keeps
records for days only.

## Inputs
Topics `comments` and `actions`, through the Airflow connection `kafka_default`; the manifest `batch.files`.

## Outputs
Parquet files in the lake and their rows in `batch.files`. Assets `moderation-lake-comments` and
`moderation-lake-actions`. Each task returns counts and offset ranges, never records.

## Re-run
Safe at any time, also beside a run that is still at work: clear the task, or trigger the DAG. What the manifest holds
is not written again. Without Airflow: `moderation archive`.

## Triage
- *SourceRefused*: a topic was made anew, or retention overtook the archive. The message names the range and the
  command; a run fails until a person has decided. It is not retried.
- *ConfigurationError*: the message names the setting or topic. It is not retried.
- Anything else (Kafka or PostgreSQL away) is retried with growing delays; the next hour's run catches up.
- A task that ends by its time limit has kept every file it finished: run it again.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Asset, CronTriggerTimetable, ExceptionRetryPolicy, RetryAction, RetryRule, dag, task

TOPICS = ("comments", "actions")


@dag(
    schedule=CronTriggerTimetable("5 * * * *", timezone="UTC"),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=50),
    tags=["batch", "lake"],
    doc_md=__doc__,
    default_args={
        "owner": "moderation",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": ExceptionRetryPolicy([RetryRule("moderation.errors.ModerationError", RetryAction.FAIL)]),
        "execution_timeout": timedelta(minutes=40),
    },
)
def archive_topics() -> None:
    """One task per topic."""
    for topic in TOPICS:
        task(task_id=f"archive_{topic}", outlets=[Asset(f"moderation-lake-{topic}")])(archive)(topic)


def archive(topic: str) -> dict[str, object]:
    """Archive one topic; returns counts and offset ranges."""
    from airflow.providers.apache.kafka.hooks.consume import KafkaConsumerHook

    from batch.archive.run import archive_topics as archive_into_lake
    from moderation.settings import load_settings

    kafka = KafkaConsumerHook(topics=[topic]).get_connection("kafka_default").extra_dejson
    report = archive_into_lake(load_settings(), topics=(topic,), kafka=kafka, on_progress=print)
    return report.fields()


archive_topics()
