"""The rule that turns a comment, what moderators did with it and the served verdict into a label and a weight.

A comment that the system removed is not seen by anybody who would act on it, so "no action" says nothing about it. Let
R be the comments that the policy would remove. Of R, exploration serves a share p as ``review`` instead, drawn at
random, so moderators see them (:mod:`moderation.policy.exploration`). Their labels, weighted with 1/p, estimate sums
over all of R without bias (Horvitz and Thompson, A Generalization of Sampling Without Replacement From a Finite
Universe, JASA 1952). The others of R without an action are left out: the drawn ones represent them.

The weights are not capped. A cap would shrink R in the training data, which is the bias that they remove. All weights
of a policy in R are equal, and a policy explores at least 0.1 % of R or nothing, so a weight is 1,000 at most.

An action on a comment of R that was not drawn, e.g. after an appeal, is a label with weight 1. It is counted beside the
drawn ones, which represent it, too; such actions are few. Drawn comments without an action are left out, which
assumes that moderators act on those that they see independently of the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from moderation.contracts import ActionKind, Verdict

NoAction = Literal["kept", "left out"]


class LeftOut(StrEnum):
    """Why a record is no example; the values are keys of counts."""

    SUPERSEDED = "superseded"
    WITHOUT_ACTION = "without_action_left_out"
    NOT_ALLOWED = "not_allowed_without_action"
    VERDICT_UNKNOWN = "verdict_unknown"


@dataclass(frozen=True, slots=True)
class Served:
    """What the speed layer decided on a record.

    Attributes:
        verdict: None if the ledger does not have the decision any more.
        inclusion_ppm: probability of verdict ``review`` under the policy; None if the policy does not explore.
        drawn_from: verdict that exploration replaced by ``review``; None if it replaced none.
    """

    verdict: Verdict | None
    inclusion_ppm: int | None = None
    drawn_from: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """Label of a record.

    Attributes:
        removed: whether moderators removed it.
        weight: number of comments that it represents, 1 or more.
    """

    removed: bool
    weight: float = 1.0


def label_of(
    action: ActionKind | None,
    inclusion_probability: float | None,
    served: Served | None,
    *,
    is_superseded: bool = False,
    no_action: NoAction = "kept",
) -> Label | LeftOut:
    """Return the label of a record, or why it has none.

    Args:
        action: the last one on the comment while the text was shown, within the maturity; None for none.
        inclusion_probability: of the action: how likely the comment was to be looked at. It is used with ``left out``
            only, and then instead of the inclusion probability of the policy; the two are never multiplied.
        served: what the speed layer decided; None if nothing was decided, so that the comment was shown.
        is_superseded: whether the text was replaced by an edit within the maturity.
        no_action: meaning of a comment without an action that was allowed or not decided.
    """
    if action is not None:
        is_removed = action is ActionKind.REMOVE
        if no_action == "left out":
            return Label(is_removed, 1 / inclusion_probability if inclusion_probability else 1.0)
        if served is not None and served.drawn_from is Verdict.REMOVE and served.inclusion_ppm:
            return Label(is_removed, 1_000_000 / served.inclusion_ppm)
        return Label(is_removed)
    if is_superseded:
        return LeftOut.SUPERSEDED
    if no_action == "left out":
        return LeftOut.WITHOUT_ACTION
    if served is None or served.verdict is Verdict.ALLOW:
        return Label(False)
    return LeftOut.VERDICT_UNKNOWN if served.verdict is None else LeftOut.NOT_ALLOWED
