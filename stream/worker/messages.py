"""Types that the stages of the worker exchange: records, decided batches, records to publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from moderation.adapters.override import Override
from moderation.contracts import Pane
from moderation.ledger import Batch, DecisionRow, Versions
from moderation.policy import Policy
from moderation.scoring import Kernel
from moderation.text import KERNEL_VERSION


class RecordPosition(NamedTuple):
    """Partition and offset of a record."""

    partition: int
    offset: int


class Record(NamedTuple):
    """One raw record of topic ``comments``; its value is parsed when it is decided.

    ``replay_of`` has the values of its headers of that name; see :mod:`moderation.contracts.replays`.
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
    """Model that currently decides.

    Attributes:
        kernel: computes scores.
        policy: maps scores to verdicts.
        model_version: version number.
        exploration_key: None if its policy does not explore.
        override: by which it serves without certificate; None with one.
        is_override_over: whether its override has ended, and it serves on because no certified version can be opened.
        model_digest: SHA-256 of its model file, hexadecimal; None for a model that is not from a folder.
    """

    kernel: Kernel
    policy: Policy
    model_version: str
    exploration_key: bytes | None = field(default=None, repr=False)
    override: Override | None = None
    is_override_over: bool = False
    model_digest: str | None = None

    @property
    def versions(self) -> Versions:
        """Versions that every decision of this model carries."""
        override = None if self.override is None else str(self.override)
        return Versions(self.model_version, self.policy.policy_version, KERNEL_VERSION, override, self.model_digest)


@dataclass(frozen=True, slots=True)
class Decided:
    """Decided records that are not stored yet.

    Attributes:
        batch: batch for the ledger; the published offsets are added when it is stored.
        unreadable: whether each record, in order, is unreadable; a wrong clock is readable.
        ignored: number of unknown fields in the records.
    """

    batch: Batch
    unreadable: list[bool]
    ignored: int = 0


class Encoded(NamedTuple):
    """Serialized decision: key, value for topic ``decisions``, and value for ``alerts`` if it is an alert."""

    key: bytes
    decision: bytes
    alert: bytes | None


@dataclass(frozen=True, slots=True)
class Publication:
    """Stored records to publish on the topics.

    Attributes:
        decisions: decisions with the versions that made them.
        panes: closed panes, in order within a partition.
        ranges: offset range of the decisions by partition.
        panes_upto_us: end up to which all closed panes are included, by partition.
        encoded: serialized decisions in the same order; empty if they are not serialized yet.
    """

    decisions: list[tuple[DecisionRow, Versions]] = field(default_factory=list)
    panes: list[Pane] = field(default_factory=list)
    ranges: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    panes_upto_us: Mapping[int, int] = field(default_factory=dict)
    encoded: list[Encoded] = field(default_factory=list)
