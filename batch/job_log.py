"""Store how the jobs of the batch layer ended, so that an alert fires when one does nothing for too long.

Airflow and the command line call the jobs through this module. What cannot be stored is reported and changes nothing:
the outcome of a job does not depend on its log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from batch.progress import OnProgress, no_progress
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.jobs import JobOutcome, store_outcome
from moderation.errors import ModerationError
from moderation.settings import Settings
from moderation.timestamps import now_us

RECONCILE, RETRAIN, DRIFT, COMPARE = "reconcile", "retrain", "watch drift", "compare challenger"
VERIFY = "verify lake"


def archive_job(topic: str) -> str:
    """Return the name of the job that archives a topic, which has no prefix."""
    return f"archive {topic}"


@dataclass(slots=True)
class JobLog:
    """Outcome of a job that runs.

    Attributes:
        skipped: why the job did nothing; None if it does its work.
        failed: why its result is bad although it raised no error; None if it is good.
    """

    skipped: str | None = None
    failed: str | None = None


@contextmanager
def failure_logged(settings: Settings, jobs: Sequence[str], on_progress: OnProgress = no_progress) -> Iterator[None]:
    """Store the failure of jobs if the block raises."""
    try:
        yield
    except Exception as error:
        # The text of an error outside the tree may contain records.
        reason = str(error) if isinstance(error, ModerationError) else type(error).__name__
        for job in jobs:
            store(settings, job, JobOutcome.FAILED, reason, on_progress)
        raise


@contextmanager
def job_logged(settings: Settings, job: str, on_progress: OnProgress = no_progress) -> Iterator[JobLog]:
    """Store the outcome of a job when the block ends: as the block sets it, failed if it raises, else done.

    Args:
        settings: where the database is.
        job: its name.
        on_progress: receives a line if the outcome cannot be stored.
    """
    log = JobLog()
    with failure_logged(settings, [job], on_progress):
        yield log
    if log.failed is not None:
        store(settings, job, JobOutcome.FAILED, log.failed, on_progress)
    elif log.skipped is not None:
        store(settings, job, JobOutcome.SKIPPED, log.skipped, on_progress)
    else:
        store(settings, job, JobOutcome.DONE, "", on_progress)


def store(settings: Settings, job: str, outcome: JobOutcome, reason: str, on_progress: OnProgress) -> None:
    """Store one outcome; report it if that is not possible."""
    if settings.database_url is None:
        return
    try:
        with connected(settings.database_url.get_secret_value(), name="moderation jobs") as connection:
            store_outcome(connection, job, outcome, reason, now_us())
    except ModerationError as error:
        on_progress(f"job {job}: the outcome {outcome.value} is not stored: {error}")
