"""Promote or roll back a version; execute exactly the approved proposal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from batch.promotion.proposal import Proposal, find_version
from moderation.adapters.registry import ModelVersion, Registry
from moderation.adapters.registry.certificate import PREFIX
from moderation.adapters.registry.registry import CHALLENGER, PRODUCTION
from moderation.bootstrap import registry, version_opener
from moderation.errors import ConfigurationError, NotInRegistry, OutdatedApproval
from moderation.settings import Settings
from moderation.timestamps import now_us

_ASK_AGAIN = "Review the present state and start again."


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """Result of a promotion or rollback.

    Attributes:
        version: the number of the version with the alias ``production``.
        previous: of the version with the alias ``previous``; None if none has it.
        by: who requested it.
        reason: why.
        is_new: False if the aliases were already so.
    """

    version: str
    previous: str | None
    by: str
    reason: str
    is_new: bool

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation promote``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """A rollback: the version ``back`` replaces the version ``serving``; both are version numbers."""

    serving: str
    back: str


def promote(
    settings: Settings, version: str = CHALLENGER, *, by: str, reason: str, shown: Proposal | None = None
) -> PromotionResult:
    """Make a version the production version; the one before becomes ``previous``. Safe to repeat.

    Its files are verified before any alias moves.

    Args:
        settings: where the registry is.
        version: a number, or ``challenger``; ignored if ``shown`` is given.
        by: who requested it; stored in the version's tags, like the reason and the time.
        reason: why.
        shown: the proposal that was approved. Nothing else is promoted.

    Raises:
        OutdatedApproval: challenger, production or the version's files changed after they were shown.
        ModelRefused: the version has no certificate, or its files do not verify.
        NotInRegistry: there is no such version.
        ConfigurationError: no reason is given.
        RegistryUnavailable: MLflow does not answer.
    """
    _require_reason(reason, "promotion")
    model_registry = registry(settings)
    target = find_version(model_registry, version) if shown is None else model_registry.version(shown.version)
    serving = model_registry.resolve(PRODUCTION)
    is_new = serving is None or serving.version != target.version
    if shown is not None and is_new:
        _require_as_shown(model_registry, shown, target, serving)
    # The override that lets uncertified versions serve does not let them be promoted.
    model_registry.certificate(target.version)
    version_opener(settings)(target.version)
    previous = model_registry.promote(target)
    if is_new or PREFIX + "promoted_us" not in model_registry.tags(target):
        _note(model_registry, target, "promoted", by, reason)
    return PromotionResult(target.version, previous.version if previous else None, by, reason, is_new)


def plan_rollback(settings: Settings) -> RollbackPlan:
    """Return the rollback that is possible now.

    Raises:
        NotInRegistry: there is no production version, or no version served before it.
        RegistryUnavailable: MLflow does not answer.
    """
    model_registry = registry(settings)
    serving = model_registry.resolve(PRODUCTION)
    if serving is None:
        raise NotInRegistry(
            f"alias {PRODUCTION} of {model_registry.model_name}",
            "no version has it",
            "Promote a version by its number.",
        )
    return RollbackPlan(serving.version, model_registry.before().version)


def roll_back(settings: Settings, plan: RollbackPlan | None = None, *, by: str, reason: str) -> PromotionResult:
    """Make the version that served before the production version again; the present one becomes ``previous``.

    Args:
        settings: where the registry is.
        plan: see :func:`plan_rollback`; repeating the same plan changes nothing. If None, the rollback that is possible
            now, so running it twice restores the original state.
        by: who requested it; stored in the tags of both versions, like the reason and the time.
        reason: why.

    Raises:
        OutdatedApproval: the aliases are neither those before nor those after ``plan``.
        NotInRegistry: no version served before.
        ModelRefused: it has no valid certificate any more, or its files do not verify.
        ConfigurationError: no reason is given.
        RegistryUnavailable: MLflow does not answer.
    """
    _require_reason(reason, "rollback")
    plan = plan or plan_rollback(settings)
    present, model_registry = plan_rollback(settings), registry(settings)
    back, gone = model_registry.version(plan.back), model_registry.version(plan.serving)
    is_new = present == plan
    if is_new:
        version_opener(settings)(back.version)
        model_registry.roll_back()
    elif present != RollbackPlan(serving=plan.back, back=plan.serving):
        raise OutdatedApproval(
            f"rollback of {model_registry.model_name} from version {plan.serving} to {plan.back}",
            f"version {present.serving} serves by now, and version {present.back} did before",
            _ASK_AGAIN,
        )
    if is_new or PREFIX + "rolled_back_us" not in model_registry.tags(gone):
        _note(model_registry, gone, "rolled_back", by, reason)
        _note(model_registry, back, "promoted", by, f"rollback from version {gone.version}: {reason}")
    return PromotionResult(back.version, gone.version, by, reason, is_new)


def _require_as_shown(
    model_registry: Registry, shown: Proposal, target: ModelVersion, serving: ModelVersion | None
) -> None:
    def refuse(cause: str) -> OutdatedApproval:
        return OutdatedApproval(f"promotion of {model_registry.model_name} version {shown.version}", cause, _ASK_AGAIN)

    if shown.is_challenger:
        challenger = model_registry.resolve(CHALLENGER)
        if challenger is None or challenger.version != shown.version:
            now = f"version {challenger.version}" if challenger else "none"
            raise refuse(f"it was shown as {CHALLENGER}, which is {now} by now")
    if target.card_digest != shown.card_digest:
        raise refuse("its digests are not those that were shown")
    serves = serving.version if serving else None
    if serves != shown.replaces:
        raise refuse(f"it was shown beside version {shown.replaces}, but version {serves} serves by now")


def _require_reason(reason: str, what: str) -> None:
    if not reason.strip():
        raise ConfigurationError(
            f"reason of the {what}", "it is empty", "State a reason; it is stored with the version."
        )


def _note(model_registry: Registry, version: ModelVersion, what: str, by: str, reason: str) -> None:
    tags = {"by": by, "reason": reason.strip(), "us": str(now_us())}
    for name, value in tags.items():
        model_registry.tag(version, f"{PREFIX}{what}_{name}", value)
