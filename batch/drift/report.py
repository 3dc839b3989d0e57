"""What a night of the watch found, as the other parts speak of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from batch.drift.measures import ALARM
from moderation.training.drift import Finding


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What the watch found.

    Attributes:
        day: UTC day of the comments.
        labels_day: the newest day whose labels were mature when ``day`` ended; labels and agreement are of it.
        production: the version that served, which the day was held against.
        comments, labelled: how many comments each day had.
        findings: by measure.
        held_back: why no retraining is asked for although something drifted; None otherwise.
        url: where the evidence is kept; empty until it is.
    """

    day: str
    labels_day: str
    production: str
    comments: int
    labelled: int
    findings: Mapping[str, Finding]
    held_back: str | None
    url: str = ""

    @property
    def drifted(self) -> list[str]:
        """The measures that are an alarm."""
        return [name for name, finding in self.findings.items() if finding.has_drifted]

    @property
    def asks(self) -> bool:
        """Whether a retraining is asked for: something drifted, and nothing holds it back."""
        return bool(self.drifted) and self.held_back is None

    @property
    def reason(self) -> str:
        """Why a retraining is asked for; becomes the description of the version."""
        return f"drift on {self.day} against version {self.production}: {', '.join(self.drifted)}"

    @property
    def summary(self) -> str:
        """What came of the night, in a line."""
        if not self.drifted:
            few = all(each.comments < ALARM.least for each in self.findings.values())
            return f"Fewer than {ALARM.least} comments: nothing is said." if few else "Nothing has drifted."
        found = f"Drifted: {', '.join(self.drifted)}."
        if self.held_back is None:
            return f"{found} A retraining is asked for."
        return f"{found} No retraining is asked for: {self.held_back}."

    def fields(self) -> dict[str, Any]:
        """As JSON fields; see ``moderation drift``."""
        return {**asdict(self), "drifted": self.drifted, "asks": self.asks, "reason": self.reason}
