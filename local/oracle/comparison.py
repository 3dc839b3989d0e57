"""Report of the oracle: counts of all faults, with examples."""

from __future__ import annotations

from dataclasses import dataclass, field

FAULTS = (
    "lost",
    "doubled",
    "phantom",
    "altered",
    "undelivered",
    "fate_mismatches",
    "pane_mismatches",
    "topic_gaps",
    "misnamed",
    "misclosed",
)
_MOST_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A confirmed delivery: position of the record, and SHA-256 of its value (hexadecimal)."""

    partition: int
    offset: int
    value_sha256: str


@dataclass(slots=True)
class OracleReport:
    """Counts of records and faults; every count named in ``FAULTS`` must be 0.

    Attributes:
        records: records of the topic.
        decisions, dead_letters: rows of the ledger.
        gap_offsets: offsets inside recorded gaps.
        hole_offsets: offsets inside recorded holes.
        unreadable_offsets: of the holes, offsets of records that could not be read.
        lost: records without a row, and offsets below next that no row, gap or hole accounts for.
        doubled: additional rows of a record, in one table or in two.
        phantom: rows without a record.
        altered: rows whose digest differs from the record's.
        undelivered: confirmed deliveries that the topic does not contain with these bytes.
        fate_mismatches: fates that differ from the recomputed ones; a wrong newest event time is one too.
        pane_mismatches: panes that differ from the GROUP BY of the decisions.
        topic_gaps: decisions, alerts or closed panes that are missing on their topic, differ there, are out of order,
            or are not in the ledger.
        misnamed: decisions whose version is not the one that served at their offset.
        misclosed: dead letters that a record closed without having their bytes or those of their correction, or that
            a record closed which closes another letter too.
        examples: the first positions of each fault.
    """

    records: int = 0
    decisions: int = 0
    dead_letters: int = 0
    gap_offsets: int = 0
    hole_offsets: int = 0
    unreadable_offsets: int = 0
    lost: int = 0
    doubled: int = 0
    phantom: int = 0
    altered: int = 0
    undelivered: int = 0
    fate_mismatches: int = 0
    pane_mismatches: int = 0
    topic_gaps: int = 0
    misnamed: int = 0
    misclosed: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_exact(self) -> bool:
        """True when every fault is zero."""
        return not any(getattr(self, name) for name in FAULTS)

    def fault(self, name: str, example: str) -> None:
        """Count one fault."""
        setattr(self, name, getattr(self, name) + 1)
        examples = self.examples.setdefault(name, [])
        if len(examples) < _MOST_EXAMPLES:
            examples.append(example)
