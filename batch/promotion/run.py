"""Promotion and rollback: which version serves is a person's word, and what was approved is what happens."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from batch.promotion.proposal import Proposal, find_version
from moderation.adapters.registry import ModelVersion, NotInRegistry, Registry
from moderation.adapters.registry.certificate import PREFIX
from moderation.adapters.registry.registry import CHALLENGER, PRODUCTION
from moderation.bootstrap import registry, version_opener
from moderation.errors import ConfigurationError, OutdatedApproval
from moderation.settings import Settings
from moderation.timestamps import now_us

_ASK_AGAIN = "Look at what there is now and ask again."


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """Who serves now.

    Attributes:
        version: the number of the version with the alias ``production``.
        previous: of the version with the alias ``previous``; None if none has it.
        by: who said so.
        reason: why.
        is_new: False if it was so already.
    """

    version: str
    previous: str | None
    by: str
    reason: str
    is_new: bool

    def fields(self) -> dict[str, Any]:
        """As JSON fields; see ``moderation promote``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """What rolling back would do: ``back`` serves again instead of ``serving``; both are version numbers."""

    serving: str
    back: str


def promote(
    settings: Settings, version: str = CHALLENGER, *, by: str, reason: str, shown: Proposal | None = None
) -> PromotionResult:
    """Make a version serve; the one that did becomes ``previous``. Safe to repeat.

    Its files are verified before any alias moves.

    Args:
        settings: where the registry is.
        version: a number, or ``challenger``; passed over if something was shown.
        by: whose word it is; kept in the version's tags, like the reason and the time.
        reason: why.
        shown: what that person was shown. Nothing else is promoted.

    Raises:
        OutdatedApproval: challenger, production or the version's files are not those that were shown.
        ModelRefused: the version is not certified, or its files do not verify.
        NotInRegistry: there is no such version.
        ConfigurationError: no reason is given.
        RegistryUnavailable: MLflow does not answer.
    """
    _require_reason(reason, "promotion")
    known = registry(settings)
    asked = find_version(known, version) if shown is None else known.version(shown.version)
    serving = known.resolve(PRODUCTION)
    is_new = serving is None or serving.version != asked.version
    if shown is not None and is_new:
        _require_as_shown(known, shown, asked, serving)
    known.certificate(asked.version)  # an override lets a person serve a version, not promote it here
    version_opener(settings)(asked.version)
    previous = known.promote(asked)
    if is_new or PREFIX + "promoted_us" not in known.tags(asked):
        _note(known, asked, "promoted", by, reason)
    return PromotionResult(asked.version, previous.version if previous else None, by, reason, is_new)


def plan_rollback(settings: Settings) -> RollbackPlan:
    """What rolling back would do now.

    Raises:
        NotInRegistry: no version is ``production``, or none served before it.
        RegistryUnavailable: MLflow does not answer.
    """
    known = registry(settings)
    serving = known.resolve(PRODUCTION)
    if serving is None:
        raise NotInRegistry(
            f"alias {PRODUCTION} of {known.model_name}", "no version has it", "Promote a version by its number."
        )
    return RollbackPlan(serving.version, known.before().version)


def roll_back(settings: Settings, way: RollbackPlan | None = None, *, by: str, reason: str) -> PromotionResult:
    """Make the version that served before serve again; what served becomes ``previous``.

    Args:
        settings: where the registry is.
        way: what it is to do, see :func:`plan_rollback`; repeated with the same it changes nothing. If None it is what
            there is to do now, so twice is as before.
        by: whose word it is; kept in the tags of both versions, like the reason and the time.
        reason: why.

    Raises:
        OutdatedApproval: the aliases are not those of ``way``, nor what it leads to.
        NotInRegistry: none served before.
        ModelRefused: it is not certified any more, or its files do not verify.
        ConfigurationError: no reason is given.
        RegistryUnavailable: MLflow does not answer.
    """
    _require_reason(reason, "rollback")
    way = way or plan_rollback(settings)
    found, known = plan_rollback(settings), registry(settings)
    back, gone = known.version(way.back), known.version(way.serving)
    is_new = found == way
    if is_new:
        version_opener(settings)(back.version)
        known.roll_back()
    elif found != RollbackPlan(serving=way.back, back=way.serving):
        raise OutdatedApproval(
            f"rollback of {known.model_name} from version {way.serving} to {way.back}",
            f"version {found.serving} serves by now, and version {found.back} did before",
            _ASK_AGAIN,
        )
    if is_new or PREFIX + "rolled_back_us" not in known.tags(gone):
        _note(known, gone, "rolled_back", by, reason)
        _note(known, back, "promoted", by, f"rollback from version {gone.version}: {reason}")
    return PromotionResult(back.version, gone.version, by, reason, is_new)


def _require_as_shown(known: Registry, shown: Proposal, asked: ModelVersion, serving: ModelVersion | None) -> None:
    def refuse(cause: str) -> OutdatedApproval:
        return OutdatedApproval(f"promotion of {known.model_name} version {shown.version}", cause, _ASK_AGAIN)

    if shown.is_challenger:
        challenger = known.resolve(CHALLENGER)
        if challenger is None or challenger.version != shown.version:
            now = f"version {challenger.version}" if challenger else "none"
            raise refuse(f"it was shown as {CHALLENGER}, which is {now} by now")
    if asked.card_digest != shown.card_digest:
        raise refuse("its digests are not those that were shown")
    serves = serving.version if serving else None
    if serves != shown.replaces:
        raise refuse(f"it was shown beside version {shown.replaces}, but version {serves} serves by now")


def _require_reason(reason: str, what: str) -> None:
    if not reason.strip():
        raise ConfigurationError(f"reason of the {what}", "it is empty", "Say why: it is kept with the version.")


def _note(known: Registry, version: ModelVersion, what: str, by: str, reason: str) -> None:
    said = {"by": by, "reason": reason.strip(), "us": str(now_us())}
    for name, value in said.items():
        known.tag(version, f"{PREFIX}{what}_{name}", value)
