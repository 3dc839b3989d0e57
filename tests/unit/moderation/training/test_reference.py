from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from moderation.contracts import Comment
from moderation.errors import ModelRefused
from moderation.policy import Policy, parse_goal
from moderation.scoring import ModerationPipeline, new_pipeline
from moderation.text import Lexicon
from moderation.training import Examples, collect_examples, train
from moderation.training.folds import assign_folds
from moderation.training.reference import TrainingReference, agreement_of, counts_by_name, labels_of, training_reference
from tests.support.reference import REFERENCE

pytestmark = pytest.mark.slow

Corpus = tuple[list[str], list[int]]


def new_estimator() -> ModerationPipeline:
    return new_pipeline(Lexicon())


def examples(corpus: Corpus, weights: list[float] | None = None) -> Examples:
    rows = list(zip(*corpus, strict=True))
    labelled = [
        (Comment(f"c{n}", ("x", "y")[n % 4 == 0], text, n), bool(label)) for n, (text, label) in enumerate(rows)
    ]
    return collect_examples(labelled, weights)


@pytest.mark.budget(20)
def test_unseen_shares_are_measured_on_the_texts_a_fold_did_not_show(small_corpus: Corpus) -> None:
    # A word of one text only is unseen if that text is held out, and seen by the final model.
    texts = [f"{text} hapax{n}" for n, text in enumerate(small_corpus[0])]
    data = examples((texts, small_corpus[1]))
    trained = train(data, new_estimator, [parse_goal("review_share<=0.5")], folds=4, seed=2)
    fold = assign_folds(data, 4, seed=2)
    for k in range(4):
        shown = [text for text, own in zip(texts, fold != k, strict=True) if own]
        known = new_estimator().fit(shown, data.removed[fold != k].astype(int))
        others = [text for text, own in zip(texts, fold == k, strict=True) if own]
        assert trained.unseen[fold == k].tolist() == known.unseen_shares(others, len(shown)).tolist()
    assert trained.unseen.min() > 0
    assert trained.estimator.unseen_shares(texts, len(texts)).max() == 0


def test_the_reference_describes_the_training_comments(small_corpus: Corpus) -> None:
    texts = [f"{text} hapax{n}" if n % 3 else text for n, text in enumerate(small_corpus[0])]
    data = examples((texts, small_corpus[1]))
    trained = train(data, new_estimator, [parse_goal("review_share<=0.5")], folds=3)
    found = training_reference(data, trained.probability, trained.unseen, trained.policy)
    total, removed = len(data.texts), int(data.removed.sum())
    assert found.comments == total
    assert found.labels == {"removed": removed, "kept": total - removed}
    assert found.communities == {"x": 0.75 * total, "y": 0.25 * total}
    verdicts = trained.policy.verdicts(np.rint(1e6 * trained.probability).astype(np.int64))
    agreed = sum((verdict != "allow") == label for verdict, label in zip(verdicts, data.removed, strict=True))
    assert found.agreement == {"agreed": agreed, "disagreed": total - agreed}
    for distribution, values in (
        (found.score, trained.probability),
        (found.length, np.array([len(text) for text in data.texts])),
        (found.unseen, trained.unseen),
    ):
        borders = [-np.inf, *distribution.edges, np.inf]
        by_hand = [int(((values >= low) & (values < high)).sum()) for low, high in pairwise(borders)]
        assert list(distribution.counts) == by_hand
        assert len(by_hand) > 1


def test_the_reference_is_the_same_each_time_and_reads_back(small_corpus: Corpus) -> None:
    def text() -> str:
        data = examples(small_corpus)
        trained = train(data, new_estimator, [parse_goal("review_share<=0.5")], folds=3)
        return training_reference(data, trained.probability, trained.unseen, trained.policy).to_json()

    first = text()
    assert text() == first
    assert TrainingReference.from_json(first).to_json() == first


def test_weighted_comments_count_with_their_effective_sample_size() -> None:
    weight = np.array([1.0, 1.0, 4.0, 2.0])
    # (sum of weights)² / (sum of squares) = 64 / 22, of which 3/8 are x
    assert counts_by_name(["x", "x", "y", "x"], weight) == pytest.approx({"x": 64 / 22 / 2, "y": 64 / 22 / 2})
    assert labels_of(np.array([True, False, False, False]), weight) == pytest.approx(
        {"removed": 64 / 22 / 8, "kept": 64 / 22 * 7 / 8}
    )
    assert counts_by_name(["x", "x", "y"]) == {"x": 2, "y": 1}
    assert counts_by_name(["x", "x", "y"], np.full(3, 7.0)) == pytest.approx({"x": 2, "y": 1})


def test_review_and_remove_agree_with_removed_and_allow_with_kept() -> None:
    policy = Policy(300_000, 700_000, ())
    probability = np.array([0.1, 0.1, 0.5, 0.5, 0.9, 0.9])
    removed = np.array([False, True, False, True, False, True])
    assert agreement_of(policy, probability, removed) == {"agreed": 3, "disagreed": 3}
    assert agreement_of(policy, probability, np.array([False, False, True, True, True, True]))["agreed"] == 6
    assert agreement_of(policy, np.zeros(0), np.zeros(0, bool)) == {"agreed": 0, "disagreed": 0}


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"score": {"edges": [0.5, 0.2], "counts": [1, 2, 3]}},
        {"score": {"edges": [0.5], "counts": [1, 2, 3]}},
        {"length": {"edges": [1.0], "counts": [1, -2]}},
        {"length": {"edges": [1.0], "counts": [1, "many"]}},
        {"communities": {"x": float("nan")}},
        {"labels": None},
        {"more": 1},
    ],
)
def test_a_malformed_reference_is_refused(change: dict[str, object]) -> None:
    fields = json.loads(REFERENCE.to_json())
    with pytest.raises(ModelRefused, match=r"reference\.json"):
        TrainingReference.from_json(json.dumps({**fields, **change}))
    assert TrainingReference.from_json(json.dumps(fields)) == REFERENCE == replace(REFERENCE)
