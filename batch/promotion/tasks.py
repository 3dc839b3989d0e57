"""Promotion and rollback as the tasks of their DAGs call them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from batch.promotion import run
from batch.promotion.proposal import Proposal, propose
from moderation.errors import OutdatedApproval
from moderation.settings import load_settings

_APPROVED = ["Approve"]


def show(version: str) -> dict[str, Any]:
    """Return what the approver is shown; see :func:`batch.promotion.proposal.propose`."""
    return asdict(propose(load_settings(), version))


def promote(shown: Mapping[str, Any], answer: Mapping[str, Any] | None, reason: str) -> dict[str, Any]:
    """Promote what was shown if it was approved.

    Args:
        shown: as :func:`show` returned it.
        answer: result of the approval; None if its task was skipped by hand.
        reason: why the run was started.

    Raises:
        OutdatedApproval: it was not approved, or it changed after it was shown.
    """
    if answer is None or list(answer["chosen_options"]) != _APPROVED or not answer["responded_by_user"]:
        raise OutdatedApproval(
            f"promotion of version {shown['version']}", "nobody approved it", "Start a new run and approve that."
        )
    by = answer["responded_by_user"]["name"]
    return run.promote(load_settings(), by=by, reason=reason, shown=Proposal(**shown)).fields()


def plan_rollback() -> dict[str, str]:
    """Return the version numbers of a rollback; see :func:`batch.promotion.run.plan_rollback`."""
    return asdict(run.plan_rollback(load_settings()))


def roll_back(plan: Mapping[str, str], by: str | None, reason: str) -> dict[str, Any]:
    """Execute the rollback that :func:`plan_rollback` returned; repeating it changes nothing."""
    return run.roll_back(load_settings(), run.RollbackPlan(**plan), by=by or "Airflow", reason=reason).fields()
