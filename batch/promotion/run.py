"""Promote or roll back a version; execute exactly the approved proposal."""

from __future__ import annotations

import logging
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from batch.promotion.eligibility import require_eligible
from batch.promotion.history import publish
from batch.promotion.proposal import Proposal, find_version
from moderation.adapters.promotion_log import ROLLBACK_REASON, note_promotion
from moderation.adapters.registry import ModelVersion, Registry
from moderation.adapters.registry.certificate import PREFIX
from moderation.adapters.registry.registry import CHALLENGER, PRODUCTION
from moderation.bootstrap import promotion_log, registry, version_opener
from moderation.errors import ApprovalRefused, ConfigurationError, DatabaseUnavailable, NotInRegistry, OutdatedApproval
from moderation.settings import Settings

_ASK_AGAIN = "Review the present state and start again."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a promotion or rollback was requested.

    Attributes:
        requested_from: URL of the Airflow run, or the command.
        request_id: of the DAG run, or of one call of the command; a repeated request adds no record.
    """

    requested_from: str = "Python"
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)


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
    settings: Settings,
    version: str = CHALLENGER,
    *,
    by: str,
    reason: str,
    shown: Proposal | None = None,
    origin: Origin | None = None,
) -> PromotionResult:
    """Make a version the production version; the one before becomes ``previous``. Safe to repeat.

    :mod:`batch.promotion.eligibility` has the rules; a version that serves already is not asked again. The files are
    verified, and the request is stored, before any alias moves. If PostgreSQL does not answer after that, the next
    call, or ``moderation history``, completes the record.

    Args:
        settings: where the registry is.
        version: a number, or ``challenger``; ignored if ``shown`` is given.
        by: who requested it; stored in the version's tags, like the reason and the time.
        reason: why.
        shown: the proposal that was approved. Nothing else is promoted.
        origin: where it was requested.

    Raises:
        OutdatedApproval: challenger, production or the version's files changed after they were shown.
        ApprovalRefused: nothing was shown, and four eyes are demanded.
        PromotionRefused: the gate has not judged the version or stopped it, or a reconciliation has defects.
        ModelRefused: its certificate or its files do not verify.
        NotInRegistry: there is no such version.
        ConfigurationError: no reason is given.
        RegistryUnavailable: MLflow does not answer.
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    _require_reason(reason, "promotion")
    model_registry, origin = registry(settings), origin or Origin()
    log = promotion_log(settings, model_registry)
    if shown is None and settings.approver_must_differ:
        raise ApprovalRefused(
            f"promotion of {model_registry.model_name} version {version}",
            "nobody else approved it, and MODERATION_APPROVER_MUST_DIFFER demands that",
            "Run DAG promote_model and let another user approve it.",
        )
    target = find_version(model_registry, version) if shown is None else model_registry.version(shown.version)
    serving = model_registry.resolve(PRODUCTION)
    is_new = serving is None or serving.version != target.version
    if shown is not None and is_new:
        _require_as_shown(model_registry, shown, target, serving)
    if is_new:
        require_eligible(settings, model_registry, log, target, serving)
    # The override that lets uncertified versions serve does not let them be promoted.
    model_registry.certificate(target.version)
    version_opener(settings)(target.version)
    log.settle()
    if is_new:
        log.request(target, serving, "promote", by=by, reason=reason, **asdict(origin))
    previous = model_registry.promote(target)
    if is_new or PREFIX + "promoted_us" not in model_registry.tags(target):
        note_promotion(model_registry, target, "promoted", by, reason)
    log.confirm(target)
    publish(model_registry, log)
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


def roll_back(
    settings: Settings, plan: RollbackPlan | None = None, *, by: str, reason: str, origin: Origin | None = None
) -> PromotionResult:
    """Make the version that served before the production version again; the present one becomes ``previous``.

    The aliases move although PostgreSQL does not answer, because the serving version does harm. The tags contain the
    rollback then; repeating ``plan``, the next promotion, or ``moderation history`` stores the record.

    Args:
        settings: where the registry is.
        plan: see :func:`plan_rollback`; repeating the same plan changes nothing. If None, the rollback that is possible
            now, so running it twice restores the original state.
        by: who requested it; stored in the tags of both versions, like the reason and the time.
        reason: why.
        origin: where it was requested.

    Raises:
        OutdatedApproval: the aliases are neither those before nor those after ``plan``.
        NotInRegistry: no version served before.
        ModelRefused: it has no valid certificate any more, or its files do not verify.
        ConfigurationError: no reason is given.
        RegistryUnavailable: MLflow does not answer.
        DatabaseUnavailable: PostgreSQL does not answer, and a plan is given; the aliases have moved.
    """
    _require_reason(reason, "rollback")
    may_repeat, plan = plan is not None, plan or plan_rollback(settings)
    present, model_registry, origin = plan_rollback(settings), registry(settings), origin or Origin()
    log = promotion_log(settings, model_registry)
    back, gone = model_registry.version(plan.back), model_registry.version(plan.serving)
    is_new = present == plan
    if is_new:
        version_opener(settings)(back.version)
        try:
            log.settle()
            log.request(back, gone, "rollback", by=by, reason=reason, **asdict(origin))
        except DatabaseUnavailable as error:
            _log.warning("the rollback is recorded later: %s", error)
        model_registry.roll_back()
    elif present != RollbackPlan(serving=plan.back, back=plan.serving):
        raise OutdatedApproval(
            f"rollback of {model_registry.model_name} from version {plan.serving} to {plan.back}",
            f"version {present.serving} serves by now, and version {present.back} did before",
            _ASK_AGAIN,
        )
    if is_new or PREFIX + "rolled_back_us" not in model_registry.tags(gone):
        note_promotion(model_registry, gone, "rolled_back", by, reason)
        note_promotion(model_registry, back, "promoted", by, f"{ROLLBACK_REASON}{gone.version}: {reason}")
    try:
        log.settle()
        publish(model_registry, log)
    except DatabaseUnavailable as error:
        if may_repeat:
            raise
        # Repeating the command would swap the versions again.
        _log.warning("the rollback is complete; `moderation history` stores its record later: %s", error)
    return PromotionResult(back.version, gone.version, by, reason, is_new)


def outdated(settings: Settings, shown: Proposal) -> str | None:
    """Return why a proposal is not executed any more, even if it is approved; None if it still can be.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    model_registry = registry(settings)
    try:
        target = model_registry.version(shown.version)
        _require_as_shown(model_registry, shown, target, model_registry.resolve(PRODUCTION))
    except (OutdatedApproval, NotInRegistry) as error:
        return f"{error.thing}: {error.cause}"
    return None


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
