from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from moderation.contracts import Verdict
from moderation.errors import ConfigurationError, GoalUnmet, ModelRefused
from moderation.policy import Goal, Measure, Policy, parse_goal, resolve_policy, resolve_reachable
from moderation.policy.policy import NEVER_PPM
from moderation.policy.resolve import LEAST_REMOVALS, wilson


def scored(size: int = 2_000, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated scores: a comment of score p is removed with probability p."""
    generator = np.random.default_rng(seed)
    probability = generator.beta(0.6, 1.4, size)
    return np.rint(1_000_000 * probability).astype(np.int64), generator.random(size) < probability


def goals(*texts: str) -> list[Goal]:
    return [parse_goal(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "measure", "bound"),
    [
        ("precision>=0.9", Measure.PRECISION, 0.9),
        (" recall ≥ 80% ", Measure.RECALL, 0.8),
        ("reviews_per_day<=200", Measure.REVIEWS_PER_DAY, 200),
        ("review_share ≤ 0.15", Measure.REVIEW_SHARE, 0.15),
    ],
)
def test_goals_are_parsed(text: str, measure: Measure, bound: float) -> None:
    assert parse_goal(text) == Goal(measure, bound)
    assert parse_goal(str(parse_goal(text))) == parse_goal(text)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("precision", "not a goal"),
        ("accuracy>=0.9", "unknown measure"),
        ("precision<=0.9", "bounded with >="),
        ("review_share>=0.1", "bounded with <="),
        ("precision>=90", r"must be in \(0, 1\]"),
        ("recall>=0", r"must be in \(0, 1\]"),
        ("reviews_per_day<=5%", "not a share"),
    ],
)
def test_malformed_goals_are_refused_by_name(text: str, cause: str) -> None:
    with pytest.raises(ConfigurationError, match=cause):
        parse_goal(text)


def test_thresholds_meet_their_goals_with_an_expected_operating_point() -> None:
    scores, removed = scored()
    policy = resolve_policy(scores, removed, goals("precision>=0.9", "recall>=0.8"))
    taken, caught = scores >= policy.remove_ppm, scores >= policy.review_ppm
    assert removed[taken].mean() >= 0.9
    assert taken.sum() >= LEAST_REMOVALS
    assert caught[removed].mean() >= 0.8
    assert policy.expected is not None
    assert policy.expected.precision is not None
    assert policy.expected.precision.value == removed[taken].mean()
    assert policy.expected.precision.low < policy.expected.precision.value < policy.expected.precision.high
    assert policy.expected.recall.value == caught[removed].mean()
    assert policy.expected.review_share.value == (caught & ~taken).mean()
    assert policy.expected.remove_share.value == taken.mean()
    assert policy.expected.comments == len(scores)


def test_the_remove_threshold_is_the_lowest_that_keeps_the_precision() -> None:
    scores, removed = scored()
    policy = resolve_policy(scores, removed, goals("precision>=0.85"))
    for lower in np.unique(scores[scores < policy.remove_ppm]):
        assert removed[scores >= lower].mean() < 0.85


def test_review_goals_are_used_up_but_not_passed() -> None:
    scores, removed = scored()
    policy = resolve_policy(scores, removed, goals("precision>=0.9", "reviews_per_day<=150"), comments_per_day=1_000)
    reviews = (scores >= policy.review_ppm) & (scores < policy.remove_ppm)
    assert 0.14 < reviews.mean() <= 0.15
    assert policy.expected is not None
    assert policy.expected.reviews_per_day is not None
    assert policy.expected.reviews_per_day.value == pytest.approx(1_000 * reviews.mean())


def test_without_a_precision_goal_nothing_is_removed_automatically() -> None:
    scores, removed = scored()
    policy = resolve_policy(scores, removed, goals("review_share<=0.2"))
    assert policy.remove_ppm == NEVER_PPM
    assert policy.verdict(1_000_000) is Verdict.REVIEW
    nothing = resolve_policy(scores, removed, [])
    assert nothing.verdict(1_000_000) is Verdict.ALLOW


def test_an_unreachable_goal_is_refused_with_the_best_value() -> None:
    scores, removed = scored()
    with pytest.raises(GoalUnmet, match="best precision") as refused:
        resolve_policy(scores, removed, goals("precision>=0.999"))
    best = refused.value.best
    assert 0.8 < best < 0.999
    resolve_policy(scores, removed, [Goal(Measure.PRECISION, best)])

    with pytest.raises(GoalUnmet, match="best recall") as refused:
        resolve_policy(scores, removed, goals("recall>=0.99", "review_share<=0.1"))
    resolve_policy(scores, removed, [Goal(Measure.RECALL, refused.value.best), *goals("review_share<=0.1")])
    with pytest.raises(GoalUnmet):
        resolve_policy(scores, removed, [Goal(Measure.RECALL, refused.value.best + 0.01), *goals("review_share<=0.1")])


def test_too_few_comments_cannot_promise_precision() -> None:
    scores, removed = scored(size=20)
    with pytest.raises(GoalUnmet, match="too few"):
        resolve_policy(scores, removed, goals("precision>=0.5"))


@pytest.mark.parametrize(
    ("highest", "goal", "remedy"),
    [
        (30, "review_share<=0.2", r"review_share<=0\.3\."),
        (30, "reviews_per_day<=299", r"reviews_per_day<=300\."),
        (100, "review_share<=0.2", "same score"),
    ],
)
def test_ties_never_turn_a_goal_on_reviews_into_allowing_everything(highest: int, goal: str, remedy: str) -> None:
    scores = np.array([900_000] * highest + [100_000] * (100 - highest))
    removed = np.arange(100) < 20
    with pytest.raises(GoalUnmet, match=remedy):
        resolve_policy(scores, removed, goals(goal), 1_000)
    policy, [dropped] = resolve_reachable(scores, removed, goals(goal), 1_000)
    assert (policy.review_ppm, policy.goals, dropped.reached) == (NEVER_PPM, (), None)
    assert str(dropped).endswith("; nothing is reviewed")
    if highest < 100:
        reachable = resolve_policy(scores, removed, goals("review_share<=0.3"), 1_000)
        assert reachable.review_ppm == 900_000


def test_contradictions_and_missing_volume_are_named() -> None:
    scores, removed = scored(100)
    with pytest.raises(ConfigurationError, match="stated twice"):
        resolve_policy(scores, removed, goals("recall>=0.5", "recall>=0.6"))
    with pytest.raises(ConfigurationError, match="volume is unknown"):
        resolve_policy(scores, removed, goals("reviews_per_day<=5"))


stated = st.lists(
    st.sampled_from(["precision>=0.6", "precision>=0.9", "recall>=0.5", "recall>=1", "review_share<=0.3"]),
    max_size=3,
    unique_by=lambda text: text[:4],
)


@given(
    st.lists(st.tuples(st.integers(0, 1_000_000), st.booleans()), min_size=1, max_size=200),
    stated,
)
def test_allow_is_always_reachable(rows: list[tuple[int, bool]], texts: list[str]) -> None:
    scores = np.array([score for score, _ in rows])
    removed = np.array([label for _, label in rows])
    try:
        policy = resolve_policy(scores, removed, goals(*texts))
    except GoalUnmet:
        return
    assert policy.verdict(0) is Verdict.ALLOW
    assert policy.verdict(int(scores.min())) is Verdict.ALLOW
    assert 0 < policy.review_ppm <= policy.remove_ppm <= NEVER_PPM


@given(st.integers(0, 400), st.integers(1, 400))
def test_the_interval_is_wilsons(successes: int, trials: int) -> None:
    successes = min(successes, trials)
    ours = wilson(successes, trials)
    reference = binomtest(successes, trials).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_boundaries_belong_to_the_stronger_verdict() -> None:
    policy = Policy(400_000, 900_000, ())
    expected = {399_999: "allow", 400_000: "review", 899_999: "review", 900_000: "remove", 1_000_000: "remove"}
    assert {score: policy.verdict(score) for score in expected} == expected
    assert policy.verdicts(np.array(list(expected))) == list(expected.values())


def test_a_policy_survives_json_and_an_edited_one_is_refused() -> None:
    scores, removed = scored()
    policy = resolve_policy(scores, removed, goals("precision>=0.9", "reviews_per_day<=150"), comments_per_day=1_000)
    assert Policy.from_json(policy.to_json()) == policy
    fields = json.loads(policy.to_json())
    edits: list[dict[str, object]] = [
        {"remove_ppm": fields["remove_ppm"] - 1},
        {"review_ppm": 0},
        {"review_ppm": "5"},
        {"goals": []},
        {"schema_version": 2},
        {"more": 1},
        {"expected": {"precision": 3}},
    ]
    for edit in edits:
        with pytest.raises(ModelRefused):
            Policy.from_json(json.dumps({**fields, **edit}))
    with pytest.raises(ModelRefused):
        Policy.from_json("[]")


def test_policy_versions_differ_with_thresholds_and_goals_only() -> None:
    versions = {Policy(1, 2, ()).policy_version, Policy(1, 3, ()).policy_version, Policy(1, 2, ("a",)).policy_version}
    assert len(versions) == 3
    scores, removed = scored()
    policy = resolve_policy(scores, removed, goals("recall>=0.5"))
    assert Policy(policy.review_ppm, policy.remove_ppm, policy.goals).policy_version == policy.policy_version


@pytest.mark.parametrize("texts", [("precision>=0.8", "recall>=0.6"), ("review_share<=0.15",)])
def test_a_comment_of_weight_n_counts_as_n_comments(texts: tuple[str, ...]) -> None:
    scores, removed = scored(800)
    weight = np.random.default_rng(3).integers(1, 5, len(scores))
    weighted = resolve_policy(scores, removed, goals(*texts), weight=weight.astype(float))
    repeated = resolve_policy(np.repeat(scores, weight), np.repeat(removed, weight), goals(*texts))
    assert (weighted.review_ppm, weighted.remove_ppm) == (repeated.review_ppm, repeated.remove_ppm)
    assert weighted != resolve_policy(scores, removed, goals(*texts)), "or the weights change nothing"
    assert weighted.expected is not None
    assert repeated.expected is not None
    ours, theirs = weighted.expected.recall, repeated.expected.recall
    assert ours.value == pytest.approx(theirs.value)
    assert ours.high - ours.low > theirs.high - theirs.low, "a weight is no evidence: the interval stays as wide"


def test_weights_of_one_give_the_policy_without_weights() -> None:
    scores, removed = scored()
    stated = goals("precision>=0.85", "recall>=0.7")
    weighted = resolve_policy(scores, removed, stated, weight=np.ones(len(scores)))
    plain = resolve_policy(scores, removed, stated)
    assert (weighted.review_ppm, weighted.remove_ppm) == (plain.review_ppm, plain.remove_ppm)
