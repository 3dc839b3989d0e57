"""Archives every comment and every action from Kafka into the lake, each offset once.

## What
One task per topic: `archive_comments` and `archive_actions`. Each task starts at the end of the lake's manifest and
reads every partition up to its end at that time. It writes files; each file contains one contiguous offset range and
one append day.

## When
Five minutes past every hour, UTC. The run has no time interval: it archives by offsets. The next run archives what a
missed run left, so there is no catch-up. The DAG is active from the start, because Kafka keeps records only for days.
Airflow refuses a backfill. A logical date is ignored; the log contains that.

## Inputs
Topics `comments` and `actions`, through the Airflow connection `kafka_default`; the manifest `batch.files`.

## Outputs
Parquet files in the lake and their rows in `batch.files`. Assets `moderation-lake-comments` and
`moderation-lake-actions`. Each task returns counts and offset ranges, never records. A task is *skipped* if another
archiver holds its partitions.

## Re-run
Safe at any time, also while another run archives: clear the task, or trigger the DAG. Records that the manifest lists
are not written again. Without Airflow: `moderation archive`.

## Triage
- *TopicRefused*: the topic was re-created, or retention deleted records before they were archived. The message names
  the range and the command. Runs fail until an operator accepts the loss.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
- *Skipped* for hours: the log names the session that holds the lock; docs/runbooks.md: Nothing was archived for hours.
- A task that reaches its time limit keeps every file it finished. Run it again.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable, dag, task

from _defaults import DAG_OPTIONS, NO_BACKFILL, kafka_settings, or_skip, task_defaults

TOPICS = ("comments", "actions")


@dag(
    schedule=CronTriggerTimetable("5 * * * *", timezone="UTC"),
    dagrun_timeout=timedelta(minutes=50),
    tags=["batch", "lake"],
    doc_md=__doc__,
    allowed_run_types=NO_BACKFILL,
    default_args=task_defaults(
        retries=3,
        first_delay=timedelta(seconds=30),
        longest_delay=timedelta(minutes=10),
        time_limit=timedelta(minutes=40),
    ),
    **DAG_OPTIONS,
)
def archive_topics() -> None:
    """Archive each topic in a task of its own."""
    for topic in TOPICS:
        task(task_id=f"archive_{topic}", outlets=[Asset(f"moderation-lake-{topic}")])(archive)(topic)


def archive(topic: str) -> Any:
    """Archive one topic; returns counts and offset ranges."""
    return or_skip(import_module("batch.archive.tasks").archive((topic,), kafka_settings()))


archive_topics()
