"""Promotion and rollback as the tasks of their DAGs call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from batch.promotion import run
from batch.promotion.proposal import Proposal, propose
from moderation.adapters.registry.registry import CHALLENGER, PRODUCTION
from moderation.bootstrap import registry
from moderation.errors import ApprovalRefused, ConfigurationError, OutdatedApproval, PromotionRefused, Unavailable
from moderation.settings import Settings, load_settings

_APPROVED = ["Approve"]
_UNKNOWN_USER = "an unknown user"
"""Requested a run that somebody started with an asset event by hand: Airflow does not store who."""


def offer(judged: Mapping[str, Any], reason: str, requested_by: str | None) -> dict[str, Any] | str:
    """Return the asset event that starts ``promote_model`` for a version that passed the gate.

    Args:
        judged: fields of :class:`batch.retrain.gate.GateReport`.
        reason: of the retraining.
        requested_by: who triggered the retraining; None if nobody did.

    Returns:
        The event's extra; or a text that says why there is nothing to approve.
    """
    version = judged["version"]
    if not judged["is_passed"]:
        return f"the gate did not let version {version} pass: {'; '.join(judged['reasons'])}"
    return {"version": version, "reason": f"version {version} passed the gate: {reason}", "requested_by": requested_by}


def show(
    params: Mapping[str, Any], requested_by: str | None, extras: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any] | str:
    """Return what the approver is shown; see :func:`batch.promotion.proposal.propose`.

    Args:
        params: of the run: ``version`` and ``reason``.
        requested_by: who triggered the run; None if an asset event did.
        extras: of the asset events that started the run, see :func:`offer`; the last one counts.

    Returns:
        Fields of the proposal, ``reason``, and ``requested_by``, the users who may not approve under four eyes; or a
        text that says why there is nothing to approve any more.

    Raises:
        ConfigurationError: no reason is given.
        PromotionRefused: the version may not be promoted, so nobody is asked.
    """
    settings = load_settings()
    event = extras[-1] if extras else {}
    version, reason = params["version"], str(event.get("reason") or params["reason"] or "").strip()
    if not reason:
        raise ConfigurationError(
            "reason of the promotion", "it is empty", "Start a new run with a reason; it is stored with the version."
        )
    if "version" in event:
        if (cause := _passed_over(settings, str(event["version"]))) is not None:
            return cause
        version = CHALLENGER
    users = [requested_by, event.get("requested_by"), _UNKNOWN_USER if event.get("from_rest_api") else None]
    proposed = propose(settings, version)
    if proposed.refusal is not None:
        thing = f"promotion of {settings.model_name} version {proposed.version}"
        raise PromotionRefused(thing, proposed.refusal.rstrip("."), "Then start a new run.")
    return {**asdict(proposed), "reason": reason, "requested_by": [user for user in users if user]}


def outdated(shown: Mapping[str, Any]) -> str | None:
    """Return why the approval of what was shown is pointless by now; None if it is not, or MLflow does not answer."""
    try:
        return run.outdated(load_settings(), _proposal(shown))
    except Unavailable:
        return None


def promote(
    shown: Mapping[str, Any], answer: Mapping[str, Any] | None, requested_from: str, request_id: str
) -> dict[str, Any]:
    """Promote what was shown if it was approved.

    Args:
        shown: as :func:`show` returned it.
        answer: result of the approval; None if its task was skipped by hand.
        requested_from: URL of the run.
        request_id: of the run.

    Raises:
        OutdatedApproval: it was not approved, or it changed after it was shown.
        ApprovalRefused: under four eyes, the approver requested it.
    """
    if answer is None or list(answer["chosen_options"]) != _APPROVED or not answer["responded_by_user"]:
        raise OutdatedApproval(
            f"promotion of version {shown['version']}", "nobody approved it", "Start a new run and approve that."
        )
    settings, by = load_settings(), str(answer["responded_by_user"]["name"])
    if settings.approver_must_differ:
        _require_four_eyes(shown, by)
    origin = run.Origin(requested_from, request_id)
    reason = shown.get("reason") or "no reason was stored"  # by a run that began before an upgrade
    return run.promote(settings, by=by, reason=reason, shown=_proposal(shown), origin=origin).fields()


def plan_rollback() -> dict[str, str]:
    """Return the version numbers of a rollback; see :func:`batch.promotion.run.plan_rollback`."""
    return asdict(run.plan_rollback(load_settings()))


def roll_back(
    plan: Mapping[str, str], by: str | None, reason: str, requested_from: str, request_id: str
) -> dict[str, Any]:
    """Execute the rollback that :func:`plan_rollback` returned; repeating it changes nothing."""
    return run.roll_back(
        load_settings(),
        run.RollbackPlan(**plan),
        by=by or "Airflow",
        reason=reason,
        origin=run.Origin(requested_from, request_id),
    ).fields()


def _passed_over(settings: Settings, version: str) -> str | None:
    """Return why a version that passed the gate needs no approval any more; None if it waits for one."""
    model_registry = registry(settings)
    serving, challenger = model_registry.resolve(PRODUCTION), model_registry.resolve(CHALLENGER)
    if serving is not None and serving.version == version:
        return f"version {version} serves already"
    if challenger is None or challenger.version != version:
        now = f"version {challenger.version}" if challenger else "no version"
        return f"version {version} passed the gate, but {now} is {CHALLENGER} by now"
    return None


def _require_four_eyes(shown: Mapping[str, Any], by: str) -> None:
    if (blocked := {by, _UNKNOWN_USER} & set(shown.get("requested_by", ()))) != set():
        who = f"{by} requested it" if by in blocked else "it was started with an asset event by hand"
        raise ApprovalRefused(
            f"promotion of version {shown['version']}",
            f"{who}, and MODERATION_APPROVER_MUST_DIFFER demands that another user approves it than requested it",
            "Clear the task approve and let another user answer, or start a new run.",
        )


def _proposal(shown: Mapping[str, Any]) -> Proposal:
    # A run that began before an upgrade has no `refusal`.
    return Proposal(**{field.name: shown[field.name] for field in fields(Proposal) if field.name in shown})
