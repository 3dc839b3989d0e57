"""Report of a drift check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from batch.drift.measures import ALARM
from moderation.training.drift import DriftResult


@dataclass(frozen=True, slots=True)
class DriftReport:
    """Findings of a drift check.

    Attributes:
        day: UTC day of the comments.
        labels_day: the newest day whose labels were mature when ``day`` ended; labels and agreement are of it.
        production: the production version, with whose training the day was compared.
        comments, labelled: number of comments of each day.
        findings: by measure.
        held_back: why no retraining is requested although a measure drifted; None otherwise.
        url: of the MLflow run with the artifacts; empty until they are stored.
        skipped: why nothing was checked or stored; None otherwise.
    """

    day: str
    labels_day: str
    production: str
    comments: int
    labelled: int
    findings: Mapping[str, DriftResult]
    held_back: str | None
    url: str = ""
    skipped: str | None = None

    @property
    def drifted(self) -> list[str]:
        """The names of the measures that drifted."""
        return [name for name, finding in self.findings.items() if finding.has_drifted]

    @property
    def asks(self) -> bool:
        """Whether a retraining is requested: a measure drifted, and nothing suppresses the request."""
        return bool(self.drifted) and self.held_back is None

    @property
    def reason(self) -> str:
        """Why a retraining is requested; becomes the description of the version."""
        return f"drift on {self.day} against version {self.production}: {', '.join(self.drifted)}"

    @property
    def summary(self) -> str:
        """The result in one line."""
        if self.skipped is not None:
            return f"Nothing was checked: {self.skipped}."
        if not self.drifted:
            few = all(each.comments < ALARM.least for each in self.findings.values())
            return f"Fewer than {ALARM.least} comments: no result." if few else "Nothing has drifted."
        drifted = f"Drifted: {', '.join(self.drifted)}."
        if self.held_back is None:
            return f"{drifted} A retraining is requested."
        return f"{drifted} No retraining is requested: {self.held_back}."

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation drift``."""
        return {**asdict(self), "drifted": self.drifted, "asks": self.asks, "reason": self.reason}
