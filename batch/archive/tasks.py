"""The archive as the tasks of the DAGs and the command line call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batch.archive.report import ArchiveReport
from batch.archive.run import archive_topics
from batch.archive.verify import GIBIBYTE, verify_lake
from batch.job_log import VERIFY, archive_job, failure_logged, job_logged, store
from batch.progress import OnProgress
from moderation.adapters.lake.schema import ARCHIVED
from moderation.adapters.sql.jobs import JobOutcome
from moderation.settings import Settings, load_settings


def archive(topics: Sequence[str] = ARCHIVED, kafka: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Archive topics up to their present ends; see :func:`batch.archive.run.archive_topics`.

    Args:
        topics: names without the prefix.
        kafka: settings of Airflow's Kafka connection; those of the project's settings if None.

    Returns:
        Counts and offset ranges, never records; ``skipped`` is the reason if another archiver held the partitions and
        this one added nothing.
    """
    return archive_and_log(load_settings(), topics, kafka, print).fields()


def archive_and_log(
    settings: Settings, topics: Sequence[str], kafka: Mapping[str, Any] | None, on_progress: OnProgress
) -> ArchiveReport:
    """Archive topics; store the outcome of each for the alert on an archive that does nothing.

    A topic counts as archived only if no partition of it was left to another archiver.
    """
    with failure_logged(settings, [archive_job(name) for name in topics], on_progress):
        report = archive_topics(settings, topics=topics, kafka=kafka, on_progress=on_progress)
    for name, topic in zip(topics, report.topics, strict=True):
        outcome = JobOutcome.DONE if topic.locked_out is None else JobOutcome.SKIPPED
        store(settings, archive_job(name), outcome, topic.locked_out or "", on_progress)
    return report


def verify(gibibytes: int) -> dict[str, Any]:
    """Verify the lake; see :func:`batch.archive.verify.verify_lake`. The outcome is stored before damage is an error.

    Args:
        gibibytes: how much a run reads at most, in GiB.

    Returns:
        Counts, and the first damaged files.

    Raises:
        LakeDamaged: files are damaged or offsets are missing.
        LakeRefused: the lake belongs to another database.
    """
    settings = load_settings()
    with job_logged(settings, VERIFY, print) as log:
        check = verify_lake(settings, most_bytes=gibibytes * GIBIBYTE, on_progress=print)
        log.failed = check.failed
    check.require_whole()
    return check.fields()
