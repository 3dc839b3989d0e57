"""The archive as the tasks of the DAGs call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batch.archive.run import archive_topics
from moderation.adapters.lake.schema import ARCHIVED
from moderation.settings import load_settings


def archive(topics: Sequence[str] = ARCHIVED, kafka: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Archive topics up to their present ends; see :func:`batch.archive.run.archive_topics`.

    Args:
        topics: names without the prefix.
        kafka: settings of Airflow's Kafka connection; those of the project's settings if None.

    Returns:
        Counts and offset ranges, never records.
    """
    return archive_topics(load_settings(), topics=topics, kafka=kafka, on_progress=print).fields()
