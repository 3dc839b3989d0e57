"""A worker with occasional deliberate errors, which proves that the oracle detects them.

Run as ``python -m local.chaos.sabotaged_worker KIND …`` with the worker's options. The error is inserted between the
real decider and the real ledger or topics; everything else is the real worker.

drop         a record is left out of the batch, though its offset is accounted for
double       a decision is also stored as a dead letter
pane         a pane counts one comment too many
unpublished  a decision is recorded as published and is not
late         a counted decision is recorded as late, in ledger and pane
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

from moderation.adapters.sql.ledger import Ledger
from moderation.contracts import DeadLetterReason, Fate, dead_letter
from moderation.errors import InvalidRecord
from moderation.ledger import Batch, pane_sums
from stream.__main__ import main
from stream.worker.messages import Publication
from stream.worker.publisher import Publisher

_EVERY = 10
"""Batches or publications between two faults."""


def drop(batch: Batch) -> Batch:
    """Leave the last decision out; the offset ranges still contain it."""
    kept = batch.decisions[:-1]
    return replace(batch, decisions=kept, panes=pane_sums(kept, batch.versions))


def double(batch: Batch) -> Batch:
    """Store the first decision's record as a dead letter too."""
    row = batch.decisions[0]
    letter = dead_letter(b"twice", row.append_us, InvalidRecord(DeadLetterReason.NOT_JSON, "sabotage"))
    return replace(batch, dead_letters=[*batch.dead_letters, (row.partition, row.offset, letter)])


def pane(batch: Batch) -> Batch:
    """Count one comment too many in one pane."""
    for sums in batch.panes.values():
        sums.comments += 1
        break
    return batch


def late(batch: Batch) -> Batch:
    """Mark a counted decision as late, in the panes too."""
    counted = next((n for n, row in enumerate(batch.decisions) if row.fate is Fate.COUNTED), None)
    if counted is None:
        return batch
    rows = [row._replace(fate=Fate.LATE) if n == counted else row for n, row in enumerate(batch.decisions)]
    return replace(batch, decisions=rows, panes=pane_sums(rows, batch.versions))


_BATCHES: dict[str, Callable[[Batch], Batch]] = {"drop": drop, "double": double, "pane": pane, "late": late}


class _WrongLedger(Ledger):
    wrong: Callable[[Batch], Batch]
    _stored = 0

    def store(self, batch: Batch) -> None:
        type(self)._stored += 1
        if self._stored % _EVERY or not batch.decisions:
            return super().store(batch)
        return super().store(type(self).wrong(batch))

    def _require_whole(self, batch: Batch) -> None:
        """Skip the check of the real ledger, which refuses such batches."""


def _publish_less(publisher: Publisher, published: Publication) -> int:
    _counter[0] += 1
    if _counter[0] % _EVERY == 0:
        published = replace(published, decisions=published.decisions[1:])
    return _publish(publisher, published)


_publish = Publisher.publish
_counter = [0]


def sabotage(kind: str) -> None:
    """Insert the errors of this kind into the process.

    Raises:
        SystemExit: there is no such kind.
    """
    import stream.worker.app

    if kind == "unpublished":
        Publisher.publish = _publish_less  # type: ignore[assignment, method-assign]
    elif kind in _BATCHES:
        _WrongLedger.wrong = staticmethod(_BATCHES[kind])
        stream.worker.app.Ledger = _WrongLedger  # type: ignore[attr-defined]
    else:
        raise SystemExit(f"no sabotage {kind}")


if __name__ == "__main__":
    sabotage(sys.argv.pop(1))
    main()
