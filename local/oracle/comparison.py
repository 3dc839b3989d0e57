"""What the oracle found: counts of everything that must be zero, with examples."""

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
    """What the brokers confirmed to the producer: where a record lies, and the SHA-256 of its value (hexadecimal)."""

    partition: int
    offset: int
    value_sha256: str


@dataclass(slots=True)
class OracleReport:
    """What the comparison found; all but records, decisions, dead letters, gap, hole and unreadable
    offsets must be 0.

    Attributes:
        records: records of the topic.
        decisions, dead_letters: rows of the ledger.
        gap_offsets: offsets inside recorded gaps.
        hole_offsets: offsets inside recorded holes.
        unreadable_offsets: of them, those whose records could not be read.
        lost: records without a row, and offsets below next that are in nothing at all.
        doubled: rows beyond one for a record, whether by place or between the two tables.
        phantom: rows without a record.
        altered: rows whose digest is not the record's.
        undelivered: confirmed deliveries that the topic does not hold with those bytes.
        fate_mismatches: fates that the log, worked through anew, does not give; a newest event time counts as one.
        pane_mismatches: panes that are not the GROUP BY of the decisions.
        topic_gaps: decisions, alerts or closed panes that are missing on their topic, or stand there with another
            value or in another order, or without a reason in the ledger.
        misnamed: decisions whose version is not the one noted as serving at their offset.
        misclosed: dead letters that are closed by a record that does not have their bytes, nor those of their
            correction, or by a record that closes another one.
        examples: the first places of each fault.
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
