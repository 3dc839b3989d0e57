"""Jobs that do nothing: their outcome is stored, and the alerts read it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr

from batch.archive.tasks import archive_and_log
from batch.job_log import RECONCILE, RETRAIN, VERIFY, archive_job, job_logged
from grafana.source.job_alerts import IDLE_ARCHIVE, IDLE_RECONCILE, IDLE_RETRAIN, UNVERIFIED
from grafana.source.model import Sql
from moderation.errors import DatabaseUnavailable
from moderation.timestamps import HOUR_US
from tests.support.database_urls import altered_url
from tests.support.lakes import LakeUnderTest, held_partitions, plain
from tests.support.workers import comments

JOB = archive_job("comments")


@pytest.fixture
def jobs(lake: LakeUnderTest) -> Iterator[psycopg.Connection]:
    with psycopg.connect(lake.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM batch.jobs")
        yield connection


def late(jobs: psycopg.Connection, alert: Sql) -> list[tuple[str, str, bool]]:
    return [(job, outcome, hours > 0) for job, outcome, hours in jobs.execute(alert.text.encode()).fetchall()]


def age(jobs: psycopg.Connection, hours: int) -> None:
    """Make every outcome older."""
    for column in ("first_us", "done_us", "skipped_us", "failed_us"):
        jobs.execute(f"UPDATE batch.jobs SET {column} = {column} - %s".encode(), (hours * HOUR_US,))


def test_an_archive_that_is_locked_out_is_skipped_and_alerts_after_three_hours(
    lake: LakeUnderTest, jobs: psycopg.Connection
) -> None:
    lake.produce(plain(comments(20)))
    assert archive_and_log(lake.settings, ["comments"], None, print).skipped is None
    age(jobs, 4)
    lake.produce(plain(comments(20, start=20)))
    with held_partitions(lake.database_url, lake.topic, lake.topic_id):
        report = archive_and_log(lake.settings, ["comments"], None, print)
        assert (report.total("rows"), "a stranded archiver (backend" in (report.skipped or "")) == (0, True)
        assert late(jobs, IDLE_ARCHIVE) == [(JOB, "skipped", True)]
    assert archive_and_log(lake.settings, ["comments"], None, print).total("rows") == 20
    assert late(jobs, IDLE_ARCHIVE) == [(JOB, "done", False)]


def test_a_night_without_records_is_no_missing_reconciliation_and_failures_are(
    lake: LakeUnderTest, jobs: psycopg.Connection
) -> None:
    with job_logged(lake.settings, RECONCILE):
        pass
    age(jobs, 60)
    assert late(jobs, IDLE_RECONCILE) == [("reconcile", "done", True)]
    with pytest.raises(ZeroDivisionError), job_logged(lake.settings, RECONCILE):
        raise ZeroDivisionError("text of a comment")
    assert late(jobs, IDLE_RECONCILE) == [("reconcile", "failed", True)]
    assert jobs.execute("SELECT failed_reason FROM batch.jobs").fetchall() == [("ZeroDivisionError",)]
    with job_logged(lake.settings, RECONCILE) as log:
        log.skipped = "no record"
    assert late(jobs, IDLE_RECONCILE) == [("reconcile", "skipped", False)]


def test_a_week_of_skipped_retrainings_alerts(lake: LakeUnderTest, jobs: psycopg.Connection) -> None:
    def skip() -> None:
        with job_logged(lake.settings, RETRAIN) as log:
            log.skipped = "no new label"

    skip()
    assert late(jobs, IDLE_RETRAIN) == [("retrain", "skipped", False)]
    age(jobs, 7 * 24 + 1)
    skip()
    assert late(jobs, IDLE_RETRAIN) == [("retrain", "skipped", True)]


def test_a_damaged_lake_alerts_at_once_and_one_that_nobody_verifies_after_two_nights(
    lake: LakeUnderTest, jobs: psycopg.Connection
) -> None:
    def alert() -> list[tuple[str, bool]]:
        return [(outcome, hours > 0) for outcome, hours in jobs.execute(UNVERIFIED.text.encode()).fetchall()]

    assert alert() == []
    with job_logged(lake.settings, VERIFY) as log:
        log.failed = "a file is missing"
    assert alert() == [("failed", True)]
    with job_logged(lake.settings, VERIFY):
        pass
    assert alert() == [("done", False)]
    age(jobs, 51)
    assert alert() == [("done", True)]


def test_an_outcome_that_cannot_be_stored_does_not_change_the_job(lake: LakeUnderTest) -> None:
    lines: list[str] = []
    away = altered_url(lake.database_url, port=1)
    settings = lake.settings.model_copy(update={"database_url": SecretStr(away)})
    with job_logged(settings, RECONCILE, lines.append):
        pass
    with pytest.raises(DatabaseUnavailable, match="the error of the job"), job_logged(settings, RECONCILE):
        raise DatabaseUnavailable("PostgreSQL", "the error of the job")
    assert "job reconcile: the outcome done is not stored" in lines[0]
