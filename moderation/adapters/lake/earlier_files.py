"""The running maximum of event times before the files that a range of event time needs, without reading earlier files.

The archive stores the maximum before and after each file. If nothing has changed the facts behind these numbers, the
last earlier file of a partition has the state that all of them give, and the others need not be read from the manifest:
the work of a day then does not depend on how many days there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from moderation.adapters.lake.manifest import maximum_of
from moderation.adapters.sql.connection import Connection
from moderation.contracts import Rules
from moderation.ledger import Served
from moderation.offsets import TopicPartition
from moderation.watermark import Reset, RunningMaximum

# Earlier files are those before the first one with a record that may belong to the range.
_EARLIER = """
WITH needed AS (
    SELECT topic_id, partition, min(first_offset) AS first_offset FROM batch.files
     WHERE topic = %(topic)s AND max_append_us >= %(append_us)s GROUP BY 1, 2
), earlier AS (
    SELECT f.*, lag(f.maximum_after) OVER (PARTITION BY f.topic_id, f.partition ORDER BY f.first_offset) AS expected
      FROM batch.files f LEFT JOIN needed n USING (topic_id, partition)
     WHERE f.topic = %(topic)s AND (n.first_offset IS NULL OR f.first_offset < n.first_offset)
)
SELECT topic_id, partition, rules_version, earliest_event_us, min(first_offset), max(next_offset),
       (array_agg(maximum_after ORDER BY first_offset DESC))[1],
       bool_and(maximum_after IS NOT NULL
                AND maximum_before IS NOT DISTINCT FROM coalesce(expected, '[null, null, null]'::jsonb))
  FROM earlier GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 6
"""


@dataclass(frozen=True, slots=True)
class EarlierFiles:
    """The files of a partition that a range of event time does not need.

    Attributes:
        next_offset: end of the last of them.
        maximum: running maximum of event times after it, as the archive computed it.
        parsed_by: for each rules that parsed some of them, the half-open range of offsets of these files.
        is_chained: whether each file continues with the maximum of the one before, from the beginning of the partition.
    """

    next_offset: int
    maximum: RunningMaximum
    parsed_by: tuple[tuple[Rules, int, int], ...]
    is_chained: bool

    def decides_maximum(self, served: Sequence[Served], quarantined: Collection[int], resets: Sequence[Reset]) -> bool:
        """Whether the maximum is the one that applied when the records were decided.

        Args:
            served: versions that decided the partition, in order of offsets.
            quarantined: offsets of its records in quarantine; they move no maximum.
            resets: resets of its maximum by an operator.
        """
        return (
            self.is_chained
            and all(_deciding_rules(served, first, end) <= {rules} for rules, first, end in self.parsed_by)
            and not any(offset < self.next_offset for offset in quarantined)
            and not any(each.offset < self.next_offset for each in resets)
        )


def _deciding_rules(served: Sequence[Served], first: int, end: int) -> set[Rules]:
    """Return the rules that decided offsets of a range; none if nothing was served: then the archive's apply."""
    before = [each.rules for each in served if each.from_offset <= first][-1:] or [each.rules for each in served[:1]]
    return {*before, *(each.rules for each in served if first < each.from_offset < end)}


def read_earlier_files(connection: Connection, topic: str, append_us: int) -> dict[TopicPartition, EarlierFiles]:
    """Read the files before the first one of each partition with a record appended at or after a time.

    Args:
        connection: to the manifest's database.
        topic: full name.
        append_us: microseconds since the epoch.

    Returns:
        By partition; those without an earlier file are left out.
    """
    found: dict[TopicPartition, EarlierFiles] = {}
    for topic_id, partition, version, earliest_us, first, end, after, chained in connection.execute(
        _EARLIER, {"topic": topic, "append_us": append_us}
    ):
        source, rules = TopicPartition(topic, topic_id, partition), Rules(version, earliest_us)
        known = found.get(source)
        parsed_by = () if known is None else known.parsed_by
        is_chained = chained and (known is None or known.is_chained)
        maximum = maximum_of(after) or RunningMaximum()
        found[source] = EarlierFiles(end, maximum, (*parsed_by, (rules, first, end)), is_chained)
    return found


def trusted_maxima(
    earlier: Mapping[TopicPartition, EarlierFiles],
    served: Callable[[TopicPartition], Sequence[Served]],
    quarantined: Callable[[TopicPartition], Collection[int]],
    resets: Callable[[TopicPartition], Sequence[Reset]],
) -> dict[TopicPartition, EarlierFiles]:
    """Return the partitions whose earlier files decide the maximum after them; see :class:`EarlierFiles`.

    Args:
        earlier: the result of :func:`read_earlier_files`.
        served: returns the versions that decided a partition, in order of offsets.
        quarantined: returns the offsets of its records in quarantine.
        resets: returns the resets of its maximum.
    """
    return {
        source: each
        for source, each in earlier.items()
        if each.decides_maximum(served(source), quarantined(source), resets(source))
    }
