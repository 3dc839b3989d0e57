"""The label of a record, by action, served verdict and the meaning of no action."""

from __future__ import annotations

import pytest

from batch.label_rule import Label, LeftOut, NoAction, Served, label_of
from moderation.contracts import ActionKind, Verdict

REMOVED, ALLOWED, REVIEWED = (Served(verdict) for verdict in (Verdict.REMOVE, Verdict.ALLOW, Verdict.REVIEW))
DRAWN = Served(Verdict.REVIEW, 10_000, Verdict.REMOVE)


@pytest.mark.parametrize("served", [None, ALLOWED, Served(Verdict.ALLOW, 1_000)])
def test_a_comment_that_was_shown_and_on_which_nobody_acted_counts_as_kept(served: Served | None) -> None:
    assert label_of(None, None, served) == Label(False, 1.0)


@pytest.mark.parametrize("served", [REMOVED, REVIEWED, DRAWN, Served(Verdict.REMOVE, 10_000)])
def test_a_comment_that_was_not_allowed_and_on_which_nobody_acted_is_left_out(served: Served) -> None:
    assert label_of(None, None, served) is LeftOut.NOT_ALLOWED


def test_a_comment_whose_verdict_the_ledger_lost_is_left_out_unless_somebody_acted() -> None:
    assert label_of(None, None, Served(None)) is LeftOut.VERDICT_UNKNOWN
    assert label_of(ActionKind.REMOVE, 1.0, Served(None)) == Label(True, 1.0)


def test_a_drawn_removal_represents_all_that_were_not_drawn() -> None:
    assert label_of(ActionKind.APPROVE, 1.0, DRAWN) == Label(False, 100.0)
    assert label_of(ActionKind.REMOVE, 0.1, DRAWN) == Label(True, 100.0), "never multiplied with the action's own"


@pytest.mark.parametrize(
    "served",
    [
        None,
        REMOVED,
        REVIEWED,
        Served(Verdict.REVIEW, 1_000_000),
        Served(Verdict.REVIEW, 1_000, Verdict.ALLOW),
        Served(Verdict.REMOVE, 10_000),
    ],
)
def test_every_other_action_has_weight_one(served: Served | None) -> None:
    assert label_of(ActionKind.REMOVE, 0.1, served) == Label(True, 1.0)


@pytest.mark.parametrize("served", [None, DRAWN, REMOVED])
def test_where_a_sample_is_reviewed_only_the_action_s_own_probability_counts(served: Served | None) -> None:
    mode: NoAction = "left out"
    assert label_of(ActionKind.APPROVE, 0.1, served, no_action=mode) == Label(False, 10.0)
    assert label_of(None, None, served, no_action=mode) is LeftOut.WITHOUT_ACTION


def test_a_text_that_was_replaced_before_any_action_is_left_out() -> None:
    assert label_of(None, None, ALLOWED, is_superseded=True) is LeftOut.SUPERSEDED
    assert label_of(ActionKind.REMOVE, 1.0, ALLOWED, is_superseded=True) == Label(True, 1.0)
