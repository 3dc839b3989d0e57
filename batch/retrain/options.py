"""Options of a retraining, from the Airflow UI, a message, or the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from batch.label_rule import NoAction
from batch.retrain.params import AS_PRODUCTION, MESSAGE_FIELDS, PARAMS
from batch.run_interval import Interval, resolve_interval
from moderation.errors import ConfigurationError
from moderation.policy import Goal, parse_goal
from moderation.policy.exploration import ALL_PPM, LEAST_REMOVALS_PPM
from moderation.scoring import Family
from moderation.timestamps import time_us_of

HOUR_US = 3_600_000_000
FOLDS, MOST = 5, 200_000
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class RetrainOptions:
    """Options of a retraining, as they were stated.

    Attributes:
        interval: event times of its comments.
        maturity_us: how long after a comment its last action counts.
        no_action: meaning of a comment without an action.
        family: of models; None means that of production.
        goals: of the policy; empty means those that were stated for production.
        explore_removals: share of would-be removals that are reviewed instead; None means that of production.
        explore_allowed: share of would-be allowed comments that are reviewed; None means that of production.
        stated_in: where goals, family and shares are stated: ``form`` or ``command line``.
        seed: of folds and bootstrap.
        newest_share: share of the comments, the newest, that is left out of the training for the gate.
        auc_margin: of the gate.
        reason: why; becomes the description of the version.
        ignored: what messages stated without effect, each with the cause.
        folds: of the cross-validation.
        most: maximum number of comments.
    """

    interval: Interval
    maturity_us: int
    no_action: NoAction
    family: Family | None
    goals: tuple[Goal, ...]
    explore_removals: float | None
    explore_allowed: float | None
    stated_in: str
    seed: int
    newest_share: float
    auc_margin: float
    reason: str
    ignored: tuple[str, ...] = ()
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
    params: Mapping[str, Any],
    run_after: datetime,
    requests: Sequence[Mapping[str, Any]] = (),
    *,
    stated_in: str = "form",
) -> RetrainOptions:
    """Return the options of a run.

    Args:
        params: of the run; a missing or empty value means the default.
        run_after: scheduled start of the run. Without ``end`` the interval ends at the last full hour whose labels are
            mature at this time.
        requests: messages that started the run; each may state the ``MESSAGE_FIELDS``, and the last one wins. Other
            fields and malformed values are ignored and named: a message neither weakens the gate nor fails a run that
            something else requested, too.
        stated_in: name of the place of ``params``.

    Raises:
        ConfigurationError: a parameter is unknown or malformed; the message names it.
    """
    if unknown := sorted(params.keys() - PARAMS.keys()):
        raise ConfigurationError(
            f"retraining with {', '.join(unknown)}", "no such option", f"Known options: {', '.join(PARAMS)}."
        )
    stated = {name: field["default"] for name, field in PARAMS.items()} | {"reason": "no reason was stated"}
    stated |= {name: value for name, value in params.items() if not _is_empty(value)}
    for name, field in PARAMS.items():
        _check(name, stated[name], field)
    ignored: list[str] = []
    for request in requests:
        _add_request(request, stated, run_after, ignored)
    _check_removals(stated["explore_removals"])
    return RetrainOptions(
        interval=_interval(stated, run_after),
        maturity_us=_maturity_us(stated),
        no_action=stated["no_action"],
        family=None if stated["family"] == AS_PRODUCTION else stated["family"],
        goals=tuple(parse_goal(text) for text in stated["goals"]),
        explore_removals=stated["explore_removals"],
        explore_allowed=stated["explore_allowed"],
        stated_in=stated_in,
        seed=stated["seed"],
        newest_share=stated["newest_share"],
        auc_margin=stated["auc_margin"],
        reason=stated["reason"],
        ignored=tuple(ignored),
    )


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [])


def _add_request(request: Mapping[str, Any], stated: dict[str, Any], run_after: datetime, ignored: list[str]) -> None:
    """Add the fields of a message that it may state and that are valid to ``stated``, the others to ``ignored``."""
    for name, value in request.items():
        if _is_empty(value):
            continue
        if name not in MESSAGE_FIELDS:
            ignored.append(f"a message states {_shown(name)}: it may state {', '.join(MESSAGE_FIELDS)} only")
            continue
        try:
            _check(name, value, PARAMS[name])
            _interval({**stated, name: value}, run_after)
        except ConfigurationError as error:
            ignored.append(f"a message states {name} {_shown(value)}: {error.cause}")
        else:
            stated[name] = value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


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
    elif "maxLength" in field and value is not None and len(value) > field["maxLength"]:
        problem = f"it is longer than {field['maxLength']:,} characters"
    elif isinstance(value, int | float) and not (
        field.get("minimum", value) <= value <= field.get("maximum", value)
        and ("exclusiveMinimum" not in field or value > field["exclusiveMinimum"])
    ):
        most = field.get("maximum")
        problem = "it is out of range" if most is None else f"it is out of range; at most {most} is allowed"
    if problem:
        raise ConfigurationError(f"{name} {_shown(value)}", problem, field["description"])


def _check_removals(share: float | None) -> None:
    least = LEAST_REMOVALS_PPM / ALL_PPM
    if share and share < least:
        raise ConfigurationError(
            f"explore_removals {share:g}",
            f"a share below {least:g} is too small: a drawn comment represents 1 / share comments in trainings",
            f"State 0, or {least:g} or more.",
        )


def _maturity_us(stated: Mapping[str, Any]) -> int:
    hours: float = stated["maturity_hours"]
    return round(hours * HOUR_US)


def _interval(stated: Mapping[str, Any], run_after: datetime) -> Interval:
    mature_us = time_us_of(run_after.astimezone(UTC)) - _maturity_us(stated)
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
