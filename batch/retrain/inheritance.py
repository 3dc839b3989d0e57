"""What a retraining takes from production: goals and family, unless others are stated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from batch.retrain.options import RetrainOptions
from batch.retrain.params import DEFAULT_GOALS, FAMILIES
from moderation.adapters.registry.registry import PRODUCTION
from moderation.bootstrap import registry, version_opener
from moderation.policy import Goal, parse_goal
from moderation.scoring import Family
from moderation.settings import Settings


@dataclass(frozen=True, slots=True)
class Production:
    """What was stated for the production version.

    Attributes:
        version: its number.
        goals: the goals that were stated for it. They may be higher than those of its policy, so that a goal that had
            to be lowered once is tried again at each retraining.
        family: of models; None if its card does not name one.
        is_bootstrap: whether it is the bootstrap model, for which nothing was stated.
    """

    version: str
    goals: tuple[str, ...]
    family: str | None
    is_bootstrap: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Goals and family of a retraining.

    Attributes:
        goals: of the policy.
        goals_from: where they were stated, e.g. ``form`` or ``production version 3``.
        family: of models.
        family_from: where it was stated.
    """

    goals: tuple[Goal, ...]
    goals_from: str
    family: Family
    family_from: str

    def lineage(self) -> dict[str, str]:
        """Return where goals and family come from, for the model's card, which contains both anyway."""
        return {"goals_from": self.goals_from, "family_from": self.family_from}


def choose(options: RetrainOptions, production: Callable[[], Production | None]) -> Choice:
    """Choose goals and family: stated ones, else those of production, else the defaults.

    Args:
        options: of the retraining.
        production: returns what was stated for the production version, None if none serves. It is called only if
            something is not stated.
    """
    serving = None if options.goals and options.family else production()
    name = "" if serving is None else f"{PRODUCTION} version {serving.version}"
    absent = "default: no version serves"
    if serving is not None:
        absent = f"default: {name} {'is the bootstrap model' if serving.is_bootstrap else 'states none'}"
    goals, goals_from = options.goals, options.stated_in
    if not goals and serving is not None and serving.goals:
        goals, goals_from = tuple(parse_goal(text) for text in serving.goals), name
    elif not goals:
        goals, goals_from = tuple(parse_goal(text) for text in DEFAULT_GOALS), absent
    family, family_from = options.family, options.stated_in
    if family is None and serving is not None and serving.family in get_args(Family):
        family, family_from = cast("Family", serving.family), name
    elif family is None:
        family, family_from = cast("Family", FAMILIES[0]), absent
    return Choice(goals, goals_from, family, family_from)


def read_production(settings: Settings) -> Production | None:
    """Read what was stated for the version with the alias ``production``; None if none has it.

    Raises:
        ModelRefused: the version does not verify.
        RegistryUnavailable: MLflow does not answer.
    """
    models = registry(settings)
    serving = models.resolve(PRODUCTION)
    if serving is None:
        return None
    if models.is_bootstrap(serving):
        return Production(serving.version, (), None, is_bootstrap=True)
    opened = version_opener(settings)(serving.version)
    training: Mapping[str, Any] = opened.card["training"]
    goals = tuple(training.get("goals_stated", opened.policy.goals))
    return Production(serving.version, goals, training.get("family"))
