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
    """What a person is shown; see :func:`batch.promotion.proposal.propose`."""
    return asdict(propose(load_settings(), version))


def promote(shown: Mapping[str, Any], answer: Mapping[str, Any] | None, reason: str) -> dict[str, Any]:
    """Promote what was shown, if a person approved it.

    Args:
        shown: as :func:`show` returned it.
        answer: what the approval returned; None if its task was passed over by hand.
        reason: why the run was started.

    Raises:
        OutdatedApproval: nobody approved it, or it is not what was shown any more.
    """
    if answer is None or list(answer["chosen_options"]) != _APPROVED or not answer["responded_by_user"]:
        raise OutdatedApproval(
            f"promotion of version {shown['version']}", "no person approved it", "Start a new run and approve that."
        )
    by = answer["responded_by_user"]["name"]
    return run.promote(load_settings(), by=by, reason=reason, shown=Proposal(**shown)).fields()


def plan_rollback() -> dict[str, str]:
    """Which version serves, and which one would instead."""
    return asdict(run.plan_rollback(load_settings()))


def roll_back(way: Mapping[str, str], by: str | None, reason: str) -> dict[str, Any]:
    """Roll back as :func:`plan_rollback` returned it; done again it changes nothing."""
    return run.roll_back(load_settings(), run.RollbackPlan(**way), by=by or "Airflow", reason=reason).fields()
