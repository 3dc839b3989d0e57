from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import ConfigurationError
from moderation.policy import Lowering, Measure, parse_goal, resolve_policy, resolve_reachable
from moderation.policy.policy import NEVER_PPM
from moderation.policy.resolve import LEAST_REMOVALS

rows = st.lists(
    st.tuples(st.integers(0, 1_000_000), st.booleans(), st.floats(0.1, 20)), min_size=1, max_size=120
) | st.integers(0, 2**32).map(
    lambda seed: [
        (int(1_000_000 * p), bool(np.random.default_rng(seed + n).random() < p), 1.0)
        for n, p in enumerate(np.random.default_rng(seed).beta(0.6, 1.4, 300))
    ]
)
stated_goals = st.tuples(
    st.sampled_from(["", "precision>=0.2", "precision>=0.9", "precision>=1"]),
    st.sampled_from(["", "recall>=0.5", "recall>=0.95", "recall>=1"]),
    st.sampled_from(["", "review_share<=0.1", "reviews_per_day<=30"]),
).map(lambda texts: [parse_goal(text) for text in texts if text])


@given(rows, stated_goals)
def test_a_policy_always_results_and_meets_the_goals_it_states(
    labelled: list[tuple[int, bool, float]], texts: list[object]
) -> None:
    goals = [parse_goal(str(text)) for text in texts]
    scores = np.array([score for score, _, _ in labelled])
    removed = np.array([label for _, label, _ in labelled])
    weight = np.array([each for _, _, each in labelled])
    policy, lowered = resolve_reachable(scores, removed, goals, 100, weight)

    met = {goal.measure: goal.bound for goal in map(parse_goal, policy.goals)}
    reached = [parse_goal(text) for text in policy.goals]
    assert resolve_policy(scores, removed, reached, 100, weight) == policy
    taken, caught = scores >= policy.remove_ppm, scores >= policy.review_ppm
    reviews = weight[caught & ~taken].sum() / weight.sum()
    if Measure.PRECISION in met:
        assert taken.sum() >= LEAST_REMOVALS
        assert weight[taken & removed].sum() / weight[taken].sum() >= met[Measure.PRECISION] - 1e-9
    else:
        assert policy.remove_ppm == NEVER_PPM
    if Measure.RECALL in met:
        assert weight[caught & removed].sum() / weight[removed].sum() >= met[Measure.RECALL] - 1e-9
    assert reviews <= met.get(Measure.REVIEW_SHARE, 1.0) + 1e-9
    assert 100 * reviews <= met.get(Measure.REVIEWS_PER_DAY, 100.0) + 1e-9

    stated = {goal.measure: goal.bound for goal in goals}
    changed = {parse_goal(each.stated).measure for each in lowered}
    assert all(met[measure] == bound for measure, bound in stated.items() if measure not in changed)
    assert all(met.get(measure, 0) < stated[measure] for measure in changed)
    assert all(each.reached is None or each.reached in policy.goals for each in lowered)


def scored(size: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(7)
    probability = generator.beta(0.6, 1.4, size)
    return np.rint(1_000_000 * probability).astype(np.int64), generator.random(size) < probability


def test_a_goal_that_can_be_met_is_not_lowered() -> None:
    scores, removed = scored(2_000)
    goals = [parse_goal("precision>=0.9"), parse_goal("review_share<=0.1")]
    assert resolve_reachable(scores, removed, goals) == (resolve_policy(scores, removed, goals), ())


def test_a_lowered_goal_is_the_nearest_with_three_decimals() -> None:
    scores, removed = scored(2_000)
    policy, lowered = resolve_reachable(scores, removed, [parse_goal("precision>=0.999")])
    (only,) = lowered
    assert (only.stated, (only.reached,)) == ("precision>=0.999", policy.goals)
    bound = parse_goal(policy.goals[0]).bound
    reachable = max(
        removed[scores >= threshold].mean()
        for threshold in np.unique(scores)
        if (scores >= threshold).sum() >= LEAST_REMOVALS
    )
    assert bound <= reachable < bound + 0.001
    assert only.by == pytest.approx(0.999 - bound)
    assert str(only).startswith(f"goal precision>=0.999 was lowered to {policy.goals[0]}: the best precision")


def test_a_precision_that_too_few_comments_determine_is_dropped() -> None:
    scores, removed = scored(LEAST_REMOVALS - 1)
    goals = [parse_goal("precision>=0.9"), parse_goal("review_share<=0.5")]
    policy, lowered = resolve_reachable(scores, removed, goals)
    assert policy.remove_ppm == NEVER_PPM
    assert policy.goals == ("review_share<=0.5",)
    assert lowered[0].by == 0
    assert str(lowered[0]) == (
        "goal precision>=0.9 was dropped: 29 comments are too few to judge it; nothing is removed automatically"
    )
    assert str(Lowering("recall>=1", None, "why")) == "goal recall>=1 was dropped: why"


def test_contradictory_goals_are_still_refused() -> None:
    scores, removed = scored(100)
    with pytest.raises(ConfigurationError, match="stated twice"):
        resolve_reachable(scores, removed, [parse_goal("recall>=0.5"), parse_goal("recall>=0.6")])
