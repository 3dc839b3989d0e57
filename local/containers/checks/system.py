"""The system that checks look at: ``docker-compose.yaml`` in the engine, and questions that several checks ask."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from itertools import chain
from typing import Any

from local.containers.folders import Folders
from local.containers.project import Project
from local.stack.wait import wait_until
from moderation.errors import StackError

DECISIONS = "SELECT count(*) FROM speed.decisions"
_NOT_ONCE = """
WITH stored AS (
    SELECT topic_id, partition, sum(n) AS n FROM (
        SELECT topic_id, partition, 1 AS n FROM speed.decisions
        UNION ALL SELECT topic_id, partition, 1 FROM speed.dead_letters
        UNION ALL SELECT topic_id, partition, next_offset - first_offset FROM speed.gaps
        UNION ALL SELECT topic_id, partition, next_offset - first_offset FROM speed.holes) each GROUP BY 1, 2
), panes AS (
    SELECT topic_id, partition, sum(comments) AS n FROM speed.panes GROUP BY 1, 2
), counted AS (
    SELECT topic_id, partition, count(*) AS n FROM speed.decisions WHERE fate = 'counted' GROUP BY 1, 2
)
SELECT (SELECT count(*) FROM speed.source_offsets o LEFT JOIN stored s USING (topic_id, partition)
         WHERE o.next - o.first <> coalesce(s.n, 0)),
       (SELECT count(*) FROM counted c LEFT JOIN panes p USING (topic_id, partition) WHERE c.n <> coalesce(p.n, 0))
"""


@dataclass(frozen=True, slots=True)
class System:
    """A run of ``docker-compose.yaml``.

    Attributes:
        folders: of the engine.
        project: commands of the compose file.
    """

    folders: Folders
    project: Project

    def partitions(self) -> list[list[str]]:
        """Return the partitions of each worker."""
        workers = [str(each["Id"]) for each in self.project.containers("worker")]
        return [sorted(self.project.ask_worker(each, "/lag").get("lag", {})) for each in workers]

    def partitions_are_shared(self) -> bool:
        """Whether two workers have all partitions, each at least one."""
        shares = self.partitions()
        return len(shares) == 2 and all(shares) and sorted(chain.from_iterable(shares)) == ["0", "1", "2", "3"]

    def nothing_waits(self) -> bool:
        """Whether the workers have decided all records of all partitions."""
        workers = [str(each["Id"]) for each in self.project.containers("worker")]
        lags = [self.project.ask_worker(each, "/lag").get("lag", {}) for each in workers]
        # No partition has a lag while the broker does not answer.
        return {name: count for lag in lags for name, count in lag.items()} == dict.fromkeys("0123", 0)

    def decisions(self) -> int:
        """Return the number of decisions."""
        return self.project.count(DECISIONS)

    def counted(self) -> int:
        """Return the number of decisions that panes count."""
        return self.project.count(f"{DECISIONS} WHERE fate = 'counted'")

    def wait_for_decisions(self, more: int, seconds: float = 240) -> float:
        """Wait until there are so many decisions more than now; return the seconds."""
        before = self.decisions()
        return wait_until(
            lambda: self.decisions() >= before + more,
            seconds=seconds,
            description=f"{more} more decisions",
            interval_seconds=2.0,
        )

    def wait_for_decisions_in_all(self, count: int, seconds: float = 240) -> float:
        """Wait until there are so many decisions; return the seconds."""
        return self.wait_for_count(DECISIONS, count, seconds)

    def wait_for_count(self, statement: str, count: int, seconds: float = 240) -> float:
        """Wait until a statement returns a number that is at least ``count``; return the seconds."""
        return wait_until(
            lambda: self.project.count(statement) >= count,
            seconds=seconds,
            description=f"{count} as the result of `{statement}`",
            interval_seconds=1.0,
        )

    def require_once(self, counted_before: int = -1) -> None:
        """Check G1 and G2 in one snapshot: positions and panes are the sums of the ledger.

        Args:
            counted_before: :meth:`counted` before what may have broken it; panes must have counted more since.

        Raises:
            StackError: a partition or its panes differ, or panes counted nothing meanwhile.
        """
        require(self.counted() > counted_before, f"panes count {counted_before} comments as before")
        wrong = self.project.sql(_NOT_ONCE)
        require(wrong == [["0", "0"]], f"partitions and panes that differ from the ledger: {wrong}")


def require(holds: bool, message: str) -> None:
    """Check what the documents promise.

    Raises:
        StackError: it does not hold.
    """
    if not holds:
        raise StackError("docker-compose.yaml", message, "See the check in local/containers/checks.")


def status_of(url: str, host: str | None = None) -> int:
    """Return the HTTP status of a GET request, with another Host header if given."""
    request = urllib.request.Request(url, headers={} if host is None else {"Host": host})  # noqa: S310 - this machine
    try:
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def json_of(url: str) -> Any:
    """Return the JSON of a GET request."""
    with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - this machine
        return json.load(response)
