from __future__ import annotations

from batch.retrain.model_card import NO_EXPLORATION, ZERO_SHARES, exploration_text
from moderation.policy import Exploration, ExplorationShares, Policy


def test_a_policy_without_exploration_names_the_cause() -> None:
    policy = Policy(300_000, 700_000, ())
    assert exploration_text(policy, ExplorationShares()) == NO_EXPLORATION
    assert exploration_text(policy, ExplorationShares(0, 0)) == ZERO_SHARES
    explores = Policy(300_000, 700_000, (), exploration=Exploration("k", 50_000, 100))
    assert exploration_text(explores, ExplorationShares(0.05)).startswith("5.00% of removals and 0.0100% of allowed")
