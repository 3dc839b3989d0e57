"""Resume a run at the first arrival that no earlier run has processed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

from moderation.datasets.synthetic import Arrival
from moderation.errors import DatasetError
from moderation.timestamps import now_us
from stream.source.arrivals import anchor_us
from stream.source.checkpoint import Checkpoint, load_checkpoint, require_same_input, save_checkpoint
from stream.source.identity import identity_of
from stream.source.plan import SendPlan


def start_or_resume(plan: SendPlan, target: str) -> Checkpoint:
    """Return the checkpoint of an earlier run, or store a new one before anything is sent.

    Args:
        plan: what to send.
        target: description of the topics.

    Raises:
        ConfigurationError: the state folder belongs to another input or target, or is damaged.
        DatasetError: the input cannot be read.
        OSError: the state folder cannot be written.
    """
    identity = identity_of(plan)
    stored = load_checkpoint(plan.state)
    if stored is not None:
        require_same_input(plan.state, stored, identity, target)
        return stored
    checkpoint = Checkpoint(identity, target, _shift_us(plan))
    # Stored before the first record, so that a run after a crash has the same shift.
    save_checkpoint(plan.state, checkpoint)
    return checkpoint


def remaining_arrivals(checkpoint: Checkpoint, arrivals: Iterator[Arrival], plan: SendPlan) -> Iterator[Arrival]:
    """Return the remaining arrivals of a plan.

    Args:
        checkpoint: checkpoint of earlier runs.
        arrivals: all arrivals of the plan, shifted.
        plan: if its limit is below that of an earlier run, nothing remains.

    Raises:
        DatasetError: the processed arrivals have changed, so the checkpoint does not apply.
    """
    if plan.limit is not None and plan.limit <= checkpoint.arrivals:
        return iter(())
    if chained_digest("", islice(arrivals, checkpoint.arrivals)) != checkpoint.digest:
        raise DatasetError(
            checkpoint.input,
            f"its first {checkpoint.arrivals} arrivals differ from those that were sent",
            "Give another --state folder to send it from the beginning.",
        )
    return arrivals


def chained_digest(digest: str, arrivals: Iterable[Arrival]) -> str:
    """Return the chained SHA-256 of arrivals, starting from a digest; it does not depend on batch boundaries."""
    for arrival in arrivals:
        link = hashlib.sha256(f"{digest}\0{arrival.topic}\0{arrival.key}\0".encode())
        link.update(arrival.value)
        digest = link.hexdigest()
    return digest


def _shift_us(plan: SendPlan) -> int:
    if plan.shift_to is None:
        return 0
    from_us = anchor_us(plan)
    # The time is taken after reading, which may take long, so that data shifted to now ends now.
    to_us = now_us() if plan.shift_to == "now" else plan.shift_to
    return 0 if from_us is None else to_us - from_us
