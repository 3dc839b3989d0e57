"""Where a run begins: at the first arrival that no earlier run has dealt with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

from moderation.datasets.synthetic import Arrival
from moderation.errors import SourceError
from moderation.timestamps import now_us
from stream.source.arrivals import anchor_us
from stream.source.checkpoint import Checkpoint, load_checkpoint, require_same_input, save_checkpoint
from stream.source.identity import identity_of
from stream.source.plan import SendPlan


def start_or_resume(plan: SendPlan, target: str) -> Checkpoint:
    """The progress of an earlier run, or a new one, kept before anything is sent.

    Args:
        plan: what to send.
        target: the topics it goes to.

    Raises:
        ConfigurationError: the state folder belongs to another input or target, or is damaged.
        SourceError: the input cannot be read.
        OSError: the state folder cannot be written.
    """
    identity = identity_of(plan)
    stored = load_checkpoint(plan.state)
    if stored is not None:
        require_same_input(plan.state, stored, identity, target)
        return stored
    checkpoint = Checkpoint(identity, target, _shift_us(plan))
    # Before the first record: a run that dies right after it must not be followed by one with another shift.
    save_checkpoint(plan.state, checkpoint)
    return checkpoint


def remaining_arrivals(checkpoint: Checkpoint, arrivals: Iterator[Arrival], plan: SendPlan) -> Iterator[Arrival]:
    """What is left of a plan's arrivals.

    Args:
        progress: how far earlier runs got.
        arrivals: all of the plan's, shifted.
        plan: its limit may be lower than an earlier run's; nothing is left then.

    Raises:
        SourceError: the arrivals dealt with earlier are others now: numbers in the progress mean nothing any more.
    """
    if plan.limit is not None and plan.limit <= checkpoint.arrivals:
        return iter(())
    if chained_digest("", islice(arrivals, checkpoint.arrivals)) != checkpoint.digest:
        raise SourceError(
            checkpoint.input,
            f"its first {checkpoint.arrivals} arrivals are not those that were sent",
            "Give another --state folder to send it from the beginning.",
        )
    return arrivals


def chained_digest(digest: str, arrivals: Iterable[Arrival]) -> str:
    """SHA-256 over a digest and an arrival, over that and the next, and so on; the same however they are batched."""
    for arrival in arrivals:
        link = hashlib.sha256(f"{digest}\0{arrival.topic}\0{arrival.key}\0".encode())
        link.update(arrival.value)
        digest = link.hexdigest()
    return digest


def _shift_us(plan: SendPlan) -> int:
    if plan.shift_to is None:
        return 0
    from_us = anchor_us(plan)
    # After the reading, which may take a while: data moved to now ends now.
    to_us = now_us() if plan.shift_to == "now" else plan.shift_to
    return 0 if from_us is None else to_us - from_us
