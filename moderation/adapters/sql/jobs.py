"""Table ``batch.jobs``: when each job of the batch layer last did its work, had none, or failed."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, Column, Table, Text

from moderation.adapters.sql.connection import Connection
from moderation.adapters.sql.tables import metadata

_MOST_CHARACTERS = 1_000

jobs = Table(
    "jobs",
    metadata,
    Column("job", Text, primary_key=True),
    Column("first_us", BigInteger, nullable=False, comment="first outcome of the job"),
    Column("done_us", BigInteger, comment="last time the job did its work"),
    Column("skipped_us", BigInteger, comment="last time the job did nothing, for the reason beside"),
    Column("skipped_reason", Text, nullable=False, server_default=""),
    Column("failed_us", BigInteger, comment="last time an attempt failed, with the error beside"),
    Column("failed_reason", Text, nullable=False, server_default=""),
    comment="one row for each job of the batch layer: the last outcome of each kind",
    schema="batch",
)


class JobOutcome(StrEnum):
    """How a job ended."""

    DONE = "done"
    SKIPPED = "skipped"
    """It did nothing, for a stated reason."""
    FAILED = "failed"


_UPSERTS = {
    JobOutcome.DONE: "INSERT INTO batch.jobs (job, first_us, done_us) VALUES (%(job)s, %(now)s, %(now)s) "
    "ON CONFLICT (job) DO UPDATE SET done_us = excluded.done_us",
    JobOutcome.SKIPPED: "INSERT INTO batch.jobs (job, first_us, skipped_us, skipped_reason) "
    "VALUES (%(job)s, %(now)s, %(now)s, %(reason)s) "
    "ON CONFLICT (job) DO UPDATE SET skipped_us = excluded.skipped_us, skipped_reason = excluded.skipped_reason",
    JobOutcome.FAILED: "INSERT INTO batch.jobs (job, first_us, failed_us, failed_reason) "
    "VALUES (%(job)s, %(now)s, %(now)s, %(reason)s) "
    "ON CONFLICT (job) DO UPDATE SET failed_us = excluded.failed_us, failed_reason = excluded.failed_reason",
}


def store_outcome(connection: Connection, job: str, outcome: JobOutcome, reason: str, now_us: int) -> None:
    """Store the outcome of a job; an earlier one of the same kind is replaced.

    Args:
        connection: to the ledger's database.
        job: its name.
        outcome: how it ended.
        reason: why it was skipped or failed; the first 1,000 characters are stored.
        now_us: the present time, microseconds since the epoch.
    """
    values = {"job": job, "now": now_us, "reason": reason.replace("\0", "")[:_MOST_CHARACTERS]}
    connection.execute(_UPSERTS[outcome], values)
