"""Whether a day may be final: archive and worker have read every partition beyond the day's end."""

from __future__ import annotations

from collections.abc import Mapping

from moderation.adapters.reconciliation.snapshot import Cut
from moderation.offsets import TopicPartition
from moderation.panes import LATENESS_US
from moderation.timestamps import moment_of


def unread_partitions(cuts: Mapping[TopicPartition, Cut], end_us: int) -> list[str]:
    """Return why a day may still get comments in time, one sentence for each reader and partition; empty if it cannot.

    A day is read completely if archive and worker have read each partition to its end at a broker time later than the
    day's end plus the lateness. Partitions of a topic that was re-created cannot be read any more, so they do not
    count; the topic with the latest reading is the present one.

    Args:
        cuts: how far each partition was read.
        end_us: end of the day, microseconds since the epoch.
    """
    if not cuts:
        return ["neither archive nor worker has read the topic"]
    complete_us = end_us + LATENESS_US
    latest = max(cuts, key=lambda each: max(cuts[each].archive_read_us or 0, cuts[each].worker_read_us or 0))
    reasons = []
    for topic_partition, cut in cuts.items():
        if topic_partition.topic_id != latest.topic_id:
            continue
        for reader, read_us in (("archive", cut.archive_read_us), ("worker", cut.worker_read_us)):
            if read_us is None:
                reasons.append(f"the {reader} has never read {topic_partition} to its end")
            elif read_us <= complete_us:
                at = f"{moment_of(read_us):%Y-%m-%d %H:%M:%S}"
                reasons.append(f"the {reader} has read {topic_partition} to its end at {at} UTC last")
    return reasons
