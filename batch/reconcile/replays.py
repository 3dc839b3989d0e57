"""Headers ``replay_of`` of a day's records: find the replays, count the ignored headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from moderation.contracts import REPLAY_OF, Content, LetterContents
from moderation.offsets import TopicPartition

_EXAMPLES = 5
# Neither DuckDB's pattern nor Spark reads a file with this prefix as data.
_PREFIX = "_replays-"


@dataclass(slots=True)
class IgnoredReplays:
    """Decided records whose header ``replay_of`` closed no dead letter: forged, malformed, or sent again.

    Attributes:
        count: number of records.
        examples: the first positions, as text.
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, example: str) -> None:
        """Count one record."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(example)

    def summary(self) -> str:
        """Return the count and the first positions as a sentence."""
        return f"{self.count:,} headers replay_of closed no dead letter, first: {'; '.join(self.examples)}"

    def write(self, output: Path) -> None:
        """Store the counts beside a file of recomputed records, if there are any."""
        if self:
            fields = {"count": self.count, "examples": self.examples}
            output.with_name(f"{_PREFIX}{output.stem}.json").write_bytes(orjson.dumps(fields))


def ignored_replays(folder: Path) -> IgnoredReplays:
    """Read the ignored replays of all files of recomputed records in a folder."""
    total = IgnoredReplays()
    for path in sorted(folder.glob(f"{_PREFIX}*.json")):
        stored: dict[str, Any] = orjson.loads(path.read_bytes())
        total.count += stored["count"]
        total.examples = (total.examples + stored["examples"])[:_EXAMPLES]
    return total


def is_replay(replays: Mapping[int, LetterContents], offset: int, value: bytes) -> bool:
    """Whether a record closed a dead letter according to the ledger and has the bytes of that letter."""
    return offset in replays and replays[offset].accepts(Content.of(value))


def header_offsets(batch: pa.RecordBatch) -> Iterable[int]:
    """Return the offsets of records with a header ``replay_of``."""
    headers = batch.column("headers")
    lengths = headers.value_lengths().to_numpy(zero_copy_only=False)
    offsets = batch.column("offset")
    return [
        offsets[row].as_py()
        for row in lengths.nonzero()[0].tolist()
        if any(header["name"] == REPLAY_OF for header in headers[row].as_py())
    ]


def position(topic_partition: TopicPartition, offset: int) -> str:
    """Format a record's position."""
    return f"partition {topic_partition.partition} offset {offset}"
