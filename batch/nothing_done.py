"""Result of a job that had nothing to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NothingDone:
    """Why a job did nothing. It is no error; its Airflow task ends in the state *skipped*.

    Attributes:
        reason: names what was missing.
    """

    reason: str

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields: ``skipped`` with the reason."""
        return {"skipped": self.reason}
