"""Suspected labels: the rule by hand, and flipped labels of real comments are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moderation.datasets.history import LabelledComment
from moderation.scoring import new_pipeline
from moderation.text import Lexicon
from moderation.training import collect_examples, train
from moderation.training.label_errors import Copies, count_copies, find_label_errors


def test_the_thresholds_are_mean_confidences_of_each_label() -> None:
    probability = np.array([0.9, 0.7, 0.2, 0.1, 0.3, 0.85])
    removed = np.array([True, True, True, False, False, False])
    found = find_label_errors(probability, removed)
    assert found.removed_confidence == pytest.approx(0.6)
    assert found.kept_confidence == pytest.approx(1.75 / 3)
    # The third looks kept (0.8 >= 0.583), the last looks removed (0.85 >= 0.6).
    assert found.is_suspected.tolist() == [False, False, True, False, False, True]
    assert found.order[:2].tolist() == [5, 2]
    assert found.suspected(1).tolist() == [5]


def test_a_comment_that_looks_like_both_is_like_the_more_probable_one() -> None:
    # Every probability is near the base rate, so that all comments reach both thresholds or miss them narrowly.
    probability = np.array([0.55, 0.45, 0.55, 0.45])
    removed = np.array([True, True, False, False])
    found = find_label_errors(probability, removed)
    assert found.is_suspected.tolist() == [False, True, True, False]


def test_a_rare_label_is_not_suspected_because_it_is_rare() -> None:
    probability = np.array([*[0.02] * 95, *[0.2] * 5])
    removed = np.arange(100) >= 95
    found = find_label_errors(probability, removed)
    assert not found.is_suspected.any()
    assert found.suspected(10).tolist() == []


def test_copies_are_counted_without_case_and_white_space() -> None:
    texts = ["Go  home", "go home", "GO HOME", "stay"]
    removed = np.array([True, True, False, False])
    assert count_copies(texts, removed, np.array([2, 3])) == [Copies(2, 1), Copies(0, 1)]


@pytest.mark.slow
@pytest.mark.budget(40)
def test_flipped_labels_of_real_comments_come_first(rscience: list[LabelledComment]) -> None:
    examples = collect_examples((row.comment, row.removed) for row in rscience)
    flipped = np.random.default_rng(5).permutation(len(rscience))[: len(rscience) // 20]
    labels = examples.removed.copy()
    labels[flipped] = ~labels[flipped]
    lexicon = Lexicon()
    trained = train(replace(examples, removed=labels), lambda: new_pipeline(lexicon), [])
    found = find_label_errors(trained.probability, labels)
    is_flipped = np.zeros(len(labels), bool)
    is_flipped[flipped] = True
    top = is_flipped[found.suspected(len(flipped))].mean()
    suspected = is_flipped[found.is_suspected].mean()
    share_found = found.is_suspected[flipped].mean()
    measured = f"{top:.1%} of as many as were flipped, {suspected:.1%} of the suspected, {share_found:.1%} found"
    # Of a random selection, 5 % were flipped.
    assert top > 0.25, measured
    assert suspected > 0.1, measured
    assert share_found > 0.4, measured
