"""What a reconciliation of a day reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from batch.reconcile.digests import DigestReport
from batch.record_isolation import Failure, failure_fields
from moderation.adapters.reconciliation.frozen_days import FrozenDay
from moderation.adapters.reconciliation.runs import StoredRun, StoredScores
from moderation.contracts import Cause

DEFECTS = (
    *(Cause.LOST, Cause.UNEXPLAINED, Cause.PHANTOM),
    *(cause for cause in Cause if cause.is_defect and cause not in (Cause.LOST, Cause.UNEXPLAINED, Cause.PHANTOM)),
)


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """Report of a reconciliation.

    Attributes:
        day: UTC day of event time.
        engine: name of the engine.
        revision: of the day's results; the earlier one if nothing changed.
        state: ``final`` or ``provisional``, see :func:`batch.reconcile.results.state_of`.
        panes: number of pane keys with values on either side.
        batch_comments, speed_comments: sums over the panes.
        causes: rows by cause, for all causes.
        defects: rows of all causes that are defects, ``residual`` panes, and ``not_recomputed`` records.
        not_recomputed: records of the day at which only the batch fails, by position; empty for a frozen day, of which
            only their number is stored.
        seconds: duration by step.
        ignored_replays: decided records whose header ``replay_of`` closed no dead letter.
        digests: outcome of the comparison by digests; None if all rows were compared.
        reused: number of files of the lake whose records were scored by an earlier run.
        waits_for: what may still bring comments of the day in time, see
            :func:`batch.reconcile.finality.unread_partitions`.
        frozen: why the day keeps the results of its last run, which are these; None if it was recomputed.
        stored_scores: versions that cannot be opened any more, with the records that have the ledger's scores.
    """

    day: date
    engine: str
    revision: int
    state: str
    panes: int
    batch_comments: int
    speed_comments: int
    causes: dict[str, int]
    defects: dict[str, int]
    not_recomputed: list[Failure]
    seconds: dict[str, float]
    ignored_replays: int = 0
    waits_for: Sequence[str] = ()
    digests: DigestReport | None = None
    reused: int = 0
    frozen: FrozenDay | None = None
    stored_scores: Sequence[StoredScores] = ()

    @property
    def skipped(self) -> str | None:
        """Why there was nothing to reconcile: neither side has a record of the day. None otherwise."""
        has_records = self.panes or self.not_recomputed or any(self.causes.values()) or any(self.defects.values())
        return None if has_records else f"neither the lake nor the ledger contains a comment of {self.day}"

    @property
    def is_sound(self) -> bool:
        """Whether there is no defect."""
        return not any(self.defects.values())

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation reconcile``."""
        return {
            "date": self.day.isoformat(),
            "engine": self.engine,
            "revision": self.revision,
            "state": self.state,
            "panes": self.panes,
            "batch_comments": self.batch_comments,
            "speed_comments": self.speed_comments,
            "causes": self.causes,
            "defects": self.defects,
            "not_recomputed": failure_fields(self.not_recomputed) | {"count": self.defects["not_recomputed"]},
            "ignored_replays": self.ignored_replays,
            "waits_for": list(self.waits_for),
            "frozen": None if self.frozen is None else asdict(self.frozen),
            "stored_scores": [each._asdict() for each in self.stored_scores],
            "seconds": {name: round(seconds, 2) for name, seconds in self.seconds.items()},
            "digests": None if self.digests is None else asdict(self.digests),
            "reused_files": self.reused,
            "skipped": self.skipped,
        }


def stored_report(day: date, last: StoredRun, frozen: FrozenDay) -> ReconcileReport:
    """Return the report of a frozen day: the results of its last run."""
    causes = {cause.value: last.causes.get(cause, 0) for cause in Cause}
    defects = {cause.value: causes[cause] for cause in DEFECTS}
    return ReconcileReport(
        day=day,
        engine=last.engine,
        revision=last.revision,
        state=last.state,
        panes=last.panes,
        batch_comments=last.batch_comments,
        speed_comments=last.speed_comments,
        causes=causes,
        defects={**defects, "residual": last.residual, "not_recomputed": last.not_recomputed},
        not_recomputed=[],
        seconds={},
        frozen=frozen,
    )
