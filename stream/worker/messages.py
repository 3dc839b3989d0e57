"""What the speed layer's stages hand to each other: records in, batches between, what is to be published out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from moderation.contracts import Pane
from moderation.ledger import Batch, DecisionRow, Versions
from moderation.policy import Policy
from moderation.scoring import Kernel
from moderation.text import KERNEL_VERSION


class RecordPosition(NamedTuple):
    """Where a record is in its topic."""

    partition: int
    offset: int


class Record(NamedTuple):
    """One record of the source topic, as it came: the value is not looked at before it is decided.

    ``replay_of`` are the values of its headers of that name; see :mod:`moderation.contracts.replays`.
    """

    partition: int
    offset: int
    append_us: int
    value: bytes
    replay_of: tuple[bytes | None, ...] = ()

    @property
    def position(self) -> RecordPosition:
        """Where the record is in its topic."""
        return RecordPosition(self.partition, self.offset)


@dataclass(frozen=True, slots=True)
class ServingModel:
    """The model that decides at the moment."""

    kernel: Kernel
    policy: Policy
    model_version: str

    @property
    def versions(self) -> Versions:
        """The versions every decision of this model carries."""
        return Versions(self.model_version, self.policy.policy_version, KERNEL_VERSION)


@dataclass(frozen=True, slots=True)
class Decided:
    """Records decided and not stored yet.

    Attributes:
        batch: for the ledger; what is published by then is added when it is stored.
        unreadable: for every record, in order, whether it cannot be read; a wrong clock is readable.
        ignored: how many fields of the records nobody knows.
    """

    batch: Batch
    unreadable: list[bool]
    ignored: int = 0


class Encoded(NamedTuple):
    """A decision as it is sent: its key, its value on topic ``decisions``, and on ``alerts`` if it is one."""

    key: bytes
    decision: bytes
    alert: bytes | None


@dataclass(frozen=True, slots=True)
class Publication:
    """What stored records have to say on the topics.

    Attributes:
        decisions: each with the versions that made it.
        panes: those that were closed, in order within a partition.
        ranges: for each partition the offsets the decisions cover.
        panes_upto_us: for each partition the end up to which its panes are covered.
        encoded: the decisions as they are sent, in their order; empty if that was not done yet.
    """

    decisions: list[tuple[DecisionRow, Versions]] = field(default_factory=list)
    panes: list[Pane] = field(default_factory=list)
    ranges: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    panes_upto_us: Mapping[int, int] = field(default_factory=dict)
    encoded: list[Encoded] = field(default_factory=list)
