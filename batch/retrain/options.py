"""Options of a retraining, from the Airflow UI, a message, or the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from batch.labelled_examples import NoAction
from batch.retrain.params import PARAMS
from batch.run_interval import Interval, resolve_interval
from moderation.errors import ConfigurationError
from moderation.policy import Goal, parse_goal
from moderation.scoring import Family
from moderation.timestamps import time_us_of

HOUR_US = 3_600_000_000
FOLDS, MOST = 5, 200_000


@dataclass(frozen=True, slots=True)
class RetrainOptions:
    """Options of a retraining.

    Attributes:
        interval: event times of its comments.
        maturity_us: how long after a comment its last action counts.
        no_action: meaning of a comment without an action.
        family: of models.
        goals: of the policy.
        seed: of folds and bootstrap.
        newest_share: share of the comments, the newest, that is left out of the training for the gate.
        auc_margin: of the gate.
        reason: why; becomes the description of the version.
        folds: of the cross-validation.
        most: maximum number of comments.
    """

    interval: Interval
    maturity_us: int
    no_action: NoAction
    family: Family
    goals: tuple[Goal, ...]
    seed: int
    newest_share: float
    auc_margin: float
    reason: str
    folds: int = FOLDS
    most: int = MOST

    def lineage(self) -> dict[str, Any]:
        """Return what repeats the training, for the model's card. It has goals, seed, folds and family anyway."""
        return {
            "start_us": self.interval.start_us,
            "end_us": self.interval.end_us,
            "maturity_us": self.maturity_us,
            "no_action": self.no_action,
            "newest_share": self.newest_share,
            "most": self.most,
        }


def parse_options(
    params: Mapping[str, Any], run_after: datetime, requests: Sequence[Mapping[str, Any]] = ()
) -> RetrainOptions:
    """Return the options of a run.

    Args:
        params: of the run; a missing or empty value means the default.
        run_after: scheduled start of the run. Without ``end`` the interval ends at the last full hour whose labels are
            mature at this time.
        requests: messages that started the run; each may state options, and the last one wins.

    Raises:
        ConfigurationError: an option is unknown or malformed; the message names it.
    """
    stated = {name: field["default"] for name, field in PARAMS.items()} | {"reason": "no reason was stated"}
    for given in (params, *requests):
        if unknown := sorted(given.keys() - PARAMS.keys()):
            raise ConfigurationError(
                f"retraining with {', '.join(unknown)}", "no such option", f"Known options: {', '.join(PARAMS)}."
            )
        stated |= {name: value for name, value in given.items() if value not in (None, "", [])}
    for name, field in PARAMS.items():
        _check(name, stated[name], field)
    maturity_us = round(stated["maturity_hours"] * HOUR_US)
    return RetrainOptions(
        interval=_interval(stated, run_after, maturity_us),
        maturity_us=maturity_us,
        no_action=stated["no_action"],
        family=stated["family"],
        goals=tuple(parse_goal(text) for text in stated["goals"]),
        seed=stated["seed"],
        newest_share=stated["newest_share"],
        auc_margin=stated["auc_margin"],
        reason=stated["reason"],
    )


def _check(name: str, value: Any, field: Mapping[str, Any]) -> None:
    """Check a value against its parameter."""
    kinds = {"number": (int, float), "integer": (int,), "string": (str,), "array": (list, tuple), "null": (type(None),)}
    allowed = field.get("type", [])
    types = tuple(kind for each in ([allowed] if isinstance(allowed, str) else allowed) for kind in kinds[each])
    problem = None
    if types and (not isinstance(value, types) or isinstance(value, bool)):
        problem = f"it must be of type {allowed}"
    elif "enum" in field and value not in field["enum"]:
        problem = f"allowed values: {', '.join(field['enum'])}"
    elif "items" in field and not all(isinstance(each, str) for each in value):
        problem = "it must be a list of texts"
    elif value is not None and not (
        field.get("minimum", value) <= value <= field.get("maximum", value)
        and ("exclusiveMinimum" not in field or value > field["exclusiveMinimum"])
    ):
        problem = "it is out of range"
    if problem:
        raise ConfigurationError(f"{name} {value!r}", problem, field["description"])


def _interval(stated: Mapping[str, Any], run_after: datetime, maturity_us: int) -> Interval:
    mature_us = time_us_of(run_after.astimezone(UTC)) - maturity_us
    end_us = mature_us - mature_us % HOUR_US
    if stated["end"] is not None:
        end_us = resolve_interval({"start": "1970-01-01", "end": stated["end"]}).end_us
        if end_us > mature_us:
            raise ConfigurationError(
                f"end {stated['end']}",
                f"labels of its last comments are not mature before {stated['maturity_hours']:g} hours have passed",
                "Name an earlier end, or a shorter maturity.",
            )
    return Interval(end_us - round(stated["days"] * 24 * HOUR_US), end_us)
