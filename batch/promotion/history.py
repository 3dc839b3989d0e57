"""History of promotions as the command prints it and as the model's page in MLflow shows it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from batch.markdown import code, minute
from moderation.adapters.promotion_checks import RecordCheck
from moderation.adapters.promotion_log import PromotionLog
from moderation.adapters.registry import Registry
from moderation.adapters.sql.promotions import ServingPeriod
from moderation.bootstrap import promotion_log, registry
from moderation.errors import RegistryUnavailable
from moderation.settings import Settings

_SHOWN = 20
_MOST_CHARACTERS = 200
_log = logging.getLogger(__name__)


def read_history(settings: Settings, most: int = 100) -> list[ServingPeriod]:
    """Read which version served when and who promoted it, newest first; first complete the newest record.

    Args:
        settings: where registry and database are.
        most: maximum number of periods.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer.
        RegistryUnavailable: MLflow does not answer.
    """
    log = promotion_log(settings, registry(settings))
    log.settle()
    return log.periods(most)


def verify_records(settings: Settings) -> list[RecordCheck]:
    """Verify the signature of every record of a promotion.

    Args:
        settings: where registry and database are.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer.
        RegistryUnavailable: MLflow does not answer.
    """
    return promotion_log(settings, registry(settings)).verify()


def period_fields(period: ServingPeriod) -> dict[str, Any]:
    """Return the JSON fields; see ``moderation history``."""
    return asdict(period)


def publish(model_registry: Registry, log: PromotionLog) -> None:
    """Write the newest periods into the description of the registered model in MLflow.

    The promotion is complete without it: if MLflow does not answer, that is logged, and the next promotion writes it.
    """
    try:
        model_registry.history.write([history_line(asdict(period)) for period in log.periods(_SHOWN)])
    except RegistryUnavailable as error:
        _log.warning("the history in the description of the model is not up to date: %s", error)


def history_line(period: Mapping[str, Any]) -> str:
    """Return a period as one line of Markdown."""
    since = minute(period["since_us"]) if period["since_us"] is not None else "at first"
    line = f"- {since}: version {period['version']}"
    if period["replaced"]:
        line += f" replaced version {period['replaced']}"
    line += f", {period['kind']}, by {_short(period['promoted_by'])}"
    if period["reason"]:
        line += f": {_short(period['reason'])}"
    if period.get("override"):
        line += f". It served by override: {_short(period['override'])}"
    return line + (f". Gate: {period['gate']}." if period["gate"] else ".")


def _short(text: str) -> str:
    return code(text[:_MOST_CHARACTERS])
