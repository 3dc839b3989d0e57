"""Count headers ``replay_of`` by outcome; log ignored ones at most once a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from moderation.contracts import ReplayOutcome
from moderation.ledger import ReplayClaim
from stream.worker import metrics

_LOG_SECONDS = 60.0
_log = logging.getLogger(__name__)


class ReplayReport:
    """Counts and logs the outcomes of records that claim to replay a dead letter. Used by one thread.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ignored = 0
        self._logged_at: float | None = None

    def note(self, judged: Sequence[tuple[ReplayClaim, ReplayOutcome]]) -> None:
        """Count the claims of a stored batch; see :class:`moderation.contracts.ReplayOutcome`."""
        for claim, outcome in judged:
            metrics.REPLAYS.labels(outcome).inc()
            if outcome.is_ignored:
                self._ignored += 1
                self._log(claim, outcome)

    def _log(self, claim: ReplayClaim, outcome: ReplayOutcome) -> None:
        now = self._clock()
        if self._logged_at is not None and now - self._logged_at < _LOG_SECONDS:
            return
        _log.warning(
            "%d headers replay_of ignored since the last report, newest: partition %d offset %d (%s); the records are "
            "decided; they close no dead letter",
            self._ignored,
            claim.partition,
            claim.offset,
            outcome,
        )
        self._ignored, self._logged_at = 0, now
