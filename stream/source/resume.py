"""Where a run begins: at the first arrival that no earlier run has dealt with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

from moderation.datasets.synthetic import Arrival
from moderation.errors import DatasetError
from moderation.timestamps import now_us
from stream.source.arrivals import anchor_us
from stream.source.checkpoint import Progress, load_progress, refuse_other_input, save_progress
from stream.source.identity import identity_of
from stream.source.plan import Plan


def begun(plan: Plan, target: str) -> Progress:
    """The progress of an earlier run, or a new one, kept before anything is sent.

    Args:
        plan: what to send.
        target: the topics it goes to.

    Raises:
        ConfigurationError: the state folder belongs to another input or target, or is damaged.
        DatasetError: the input cannot be read.
        OSError: the state folder cannot be written.
    """
    identity = identity_of(plan)
    found = load_progress(plan.state)
    if found is not None:
        refuse_other_input(plan.state, found, identity, target)
        return found
    progress = Progress(identity, target, _shift_us(plan))
    # Before the first record: a run that dies right after it must not be followed by one with another shift.
    save_progress(plan.state, progress)
    return progress


def behind(progress: Progress, arrivals: Iterator[Arrival], plan: Plan) -> Iterator[Arrival]:
    """What is left of a plan's arrivals.

    Args:
        progress: how far earlier runs got.
        arrivals: all of the plan's, shifted.
        plan: its limit may be lower than an earlier run's; nothing is left then.

    Raises:
        DatasetError: the arrivals dealt with earlier are others now: numbers in the progress mean nothing any more.
    """
    if plan.limit is not None and plan.limit <= progress.arrivals:
        return iter(())
    if chained("", islice(arrivals, progress.arrivals)) != progress.digest:
        raise DatasetError(
            progress.input,
            f"its first {progress.arrivals} arrivals are not those that were sent",
            "Give another --state folder to send it from the beginning.",
        )
    return arrivals


def chained(digest: str, arrivals: Iterable[Arrival]) -> str:
    """SHA-256 over a digest and an arrival, over that and the next, and so on; the same however they are batched."""
    for arrival in arrivals:
        link = hashlib.sha256(f"{digest}\0{arrival.topic}\0{arrival.key}\0".encode())
        link.update(arrival.value)
        digest = link.hexdigest()
    return digest


def _shift_us(plan: Plan) -> int:
    if plan.shift_to is None:
        return 0
    from_us = anchor_us(plan)
    # After the reading, which may take a while: data moved to now ends now.
    to_us = now_us() if plan.shift_to == "now" else plan.shift_to
    return 0 if from_us is None else to_us - from_us
