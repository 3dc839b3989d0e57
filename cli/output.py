"""How the command speaks: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console

if TYPE_CHECKING:
    from moderation.policy import Estimate, Policy

console = Console()
progress = Console(stderr=True)


def print_json(fields: dict[str, Any]) -> None:
    """Print one JSON object on one line."""
    sys.stdout.write(orjson.dumps(fields).decode() + "\n")


def percent(estimate: Estimate | None) -> str:
    """A share with its 95 % interval, e.g. ``91.2 % (88.0–93.7)``; ``–`` for None."""
    if estimate is None:
        return "–"
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"


def threshold(ppm: int) -> str:
    """A threshold in parts per million, or ``never``."""
    from moderation.policy.policy import NEVER_PPM

    return "never" if ppm >= NEVER_PPM else f"{ppm:,} ppm"


def policy_fields(policy: Policy) -> dict[str, Any]:
    """A policy as JSON fields."""
    return {"policy_version": policy.policy_version, **asdict(policy)}
