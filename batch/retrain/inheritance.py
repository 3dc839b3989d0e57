"""What a retraining takes from production unless it is stated: goals, family and the shares of exploration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from batch.retrain.options import RetrainOptions
from batch.retrain.params import DEFAULT_GOALS, FAMILIES
from moderation.adapters.registry.registry import PRODUCTION
from moderation.bootstrap import registry, version_opener
from moderation.policy import ExplorationShares, Goal, parse_goal
from moderation.policy.exploration import ALL_PPM, Exploration
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
        explore_removals, explore_allowed: the shares that were stated for it; None if it neither states nor explores.
    """

    version: str
    goals: tuple[str, ...]
    family: str | None
    explore_removals: float | None = None
    explore_allowed: float | None = None
    is_bootstrap: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Goals, family and exploration of a retraining.

    Attributes:
        goals: of the policy.
        goals_from: where they were stated, e.g. ``form`` or ``production version 3``.
        family: of models.
        family_from: where it was stated.
        exploration: shares of the policy.
        removals_from, allowed_from: where its two shares were stated.
    """

    goals: tuple[Goal, ...]
    goals_from: str
    family: Family
    family_from: str
    exploration: ExplorationShares
    removals_from: str
    allowed_from: str

    def origins(self) -> dict[str, str]:
        """Return where each choice was stated."""
        return {
            "goals": self.goals_from,
            "family": self.family_from,
            "explore_removals": self.removals_from,
            "explore_allowed": self.allowed_from,
        }

    def lineage(self) -> dict[str, str]:
        """Return where the choices come from, for the model's card, which contains the choices anyway."""
        return {f"{name}_from": origin for name, origin in self.origins().items()}


def choose(options: RetrainOptions, production: Callable[[], Production | None]) -> Choice:
    """Choose goals, family and exploration: stated ones, else those of production, else the defaults.

    Args:
        options: of the retraining.
        production: returns what was stated for the production version, None if none serves. It is called only if
            something is not stated.
    """
    shares = (options.explore_removals, options.explore_allowed)
    serving = None if options.goals and options.family and None not in shares else production()
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
    default = ExplorationShares()

    def share(stated: float | None, of_production: float | None, by_default: float) -> tuple[float, str]:
        if stated is not None:
            return stated, options.stated_in
        return (by_default, absent) if of_production is None else (of_production, name)

    inherited = (None, None) if serving is None else (serving.explore_removals, serving.explore_allowed)
    removals, removals_from = share(shares[0], inherited[0], default.removals)
    allowed, allowed_from = share(shares[1], inherited[1], default.allowed)
    exploration = replace(default, removals=removals, allowed=allowed)
    return Choice(goals, goals_from, family, family_from, exploration, removals_from, allowed_from)


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
    removals, allowed = explored_by(training, opened.policy.exploration)
    return Production(serving.version, goals, training.get("family"), removals, allowed)


def explored_by(training: Mapping[str, Any], exploration: Exploration | None) -> tuple[float | None, float | None]:
    """Return the shares of removals and of allowed comments that were stated for a version.

    The policy may explore less: nothing without a key, and at most so many allowed comments a day. The card of a
    version from an earlier release states no shares. Those of its policy count then, except 0: such a release had no
    exploration, no key, or did not know the number of comments a day.

    Args:
        training: part of the model's card.
        exploration: of its policy.
    """
    if (stated := training.get("exploration_stated")) is not None:
        return float(stated["removals"]), float(stated["allowed"])
    if exploration is None:
        return None, None
    return exploration.removals_ppm / ALL_PPM or None, exploration.allowed_ppm / ALL_PPM or None
