from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from scipy.special import expit

from moderation.contracts import Comment
from moderation.errors import GoalUnmet, TrainingError
from moderation.policy import parse_goal
from moderation.scoring import ModerationPipeline, new_pipeline
from moderation.text import Lexicon
from moderation.training import Examples, collect_examples, train
from moderation.training.fit import platt
from moderation.training.folds import assign_folds
from moderation.training.metrics import calibration_error, measure
from moderation.training.plots.training import draw_plots

pytestmark = pytest.mark.slow

Corpus = tuple[list[str], list[int]]


def examples(corpus: Corpus) -> Examples:
    rows = zip(*corpus, strict=True)
    return collect_examples(
        (Comment(f"c{n}", "x", text, n * 86_400_000_000), bool(label)) for n, (text, label) in enumerate(rows)
    )


def test_examples_keep_order_and_have_a_digest_of_exactly_this_data(small_corpus: Corpus) -> None:
    texts, labels = small_corpus
    first = examples(small_corpus)
    assert first.texts == texts
    assert first.removed.tolist() == [bool(label) for label in labels]
    assert first.days == len(texts) - 1
    flipped = examples((texts, [*labels[:-1], 1 - labels[-1]]))
    edited = examples(([*texts[:-1], "other"], labels))
    assert len({first.data_digest, flipped.data_digest, edited.data_digest, examples(small_corpus).data_digest}) == 3


def test_too_few_distinct_texts_of_a_class_are_refused() -> None:
    with pytest.raises(TrainingError, match="1 distinct removed"):
        examples(([*[f"fine {n}" for n in range(30)], *["same"] * 50], [0] * 30 + [1] * 50))


def test_equal_texts_share_a_fold_and_folds_keep_the_classes(small_corpus: Corpus) -> None:
    texts, labels = small_corpus
    doubled = examples((texts * 2, labels * 2))
    fold = assign_folds(doubled, 5, seed=3)
    assert fold[: len(texts)].tolist() == fold[len(texts) :].tolist()
    shares = [doubled.removed[fold == k].mean() for k in range(5)]
    assert max(shares) - min(shares) < 0.05
    assert fold.tolist() != assign_folds(doubled, 5, seed=4).tolist()


def new_estimator() -> ModerationPipeline:
    return new_pipeline(Lexicon())


def test_training_learns_calibrates_and_resolves(small_corpus: Corpus) -> None:
    steps: list[str] = []
    trained = train(examples(small_corpus), new_estimator, [parse_goal("precision>=0.9")], on_progress=steps.append)
    assert steps == [*[f"fold {k} of 5" for k in range(1, 6)], "the model on all comments"]
    assert trained.metrics.auc_mean > 0.99
    assert trained.policy.expected is not None
    assert trained.estimator.kernel().score_one("you idiot!!!") >= trained.policy.remove_ppm
    assert trained.estimator.kernel().score_one("Nice study, thanks.") < trained.policy.review_ppm


def test_random_labels_give_no_skill_and_meet_no_goal() -> None:
    generator = np.random.default_rng(5)
    texts = [" ".join(generator.choice(list("abcdefgh"), 6)) + f" {n}" for n in range(400)]
    labels = generator.integers(0, 2, 400).tolist()
    with pytest.raises(GoalUnmet):
        train(examples((texts, labels)), new_estimator, [parse_goal("precision>=0.95")])
    trained = train(examples((texts, labels)), new_estimator, [])
    assert 0.35 < trained.metrics.auc_mean < 0.65


def test_platt_corrects_a_distortion_and_never_reverses_scores() -> None:
    generator = np.random.default_rng(1)
    true = generator.normal(0, 2, 40_000)
    labels = (generator.random(40_000) < expit(true)).astype(np.int64)
    slope, offset = platt((true - 0.5) / 3, labels)
    assert slope == pytest.approx(3, rel=0.05)
    assert offset == pytest.approx(0.5, abs=0.05)
    assert platt(-true, labels) == (1.0, 0.0)


def test_calibration_error_by_hand() -> None:
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    removed = np.array([False, False, True, False])
    assert calibration_error(probability, removed) == pytest.approx((2 * 0.05 + 2 * 0.45) / 4)


def test_measurements_by_hand() -> None:
    probability = np.array([0.1, 0.8, 0.4, 0.9, 0.2, 0.3])
    removed = np.array([False, True, True, True, False, True])
    metrics = measure(probability, removed, np.array([0, 0, 0, 1, 1, 1]))
    assert metrics.auc_folds == (1.0, 1.0)
    assert metrics.brier == pytest.approx(np.mean((probability - removed) ** 2))
    assert (metrics.best_f1, metrics.comments, metrics.removed) == (1.0, 6, 4)


def test_five_plots_are_drawn(small_corpus: Corpus, tmp_path: Path) -> None:
    data = examples(small_corpus)
    trained = train(data, new_estimator, [parse_goal("precision>=0.9"), parse_goal("review_share<=0.1")])
    paths = draw_plots(tmp_path, trained.probability, data.removed, trained.policy, trained.metrics)
    assert [path.name for path in paths] == [
        "roc.png",
        "precision_recall.png",
        "calibration.png",
        "confusion.png",
        "thresholds.png",
    ]
    for path in paths:
        image = matplotlib.image.imread(path)
        assert image.shape[:2] == (550, 660)
        assert image[..., :3].std() > 0.02


def test_measurements_of_weighted_comments_are_those_of_as_many_comments() -> None:
    rng = np.random.default_rng(5)
    probability, fold = rng.random(300), np.arange(300) % 3
    removed = rng.random(300) < probability
    weight = rng.integers(1, 4, 300)
    weighted = measure(probability, removed, fold, weight.astype(float))
    repeated = measure(np.repeat(probability, weight), np.repeat(removed, weight), np.repeat(fold, weight))
    plain = measure(probability, removed, fold)
    for name in ("auc_mean", "auc_pooled", "average_precision", "brier", "calibration_error", "best_f1"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name)), name
        assert getattr(weighted, name) != pytest.approx(getattr(plain, name)), name


def test_weights_change_the_digest_and_the_model_and_ones_do_not(small_corpus: Corpus) -> None:
    rows = [
        (Comment(f"c{n}", "x", text, n), bool(label)) for n, (text, label) in enumerate(zip(*small_corpus, strict=True))
    ]
    plain, ones = collect_examples(rows), collect_examples(rows, [1.0] * len(rows))
    heavier = collect_examples(rows, [5.0 if removed else 1.0 for _, removed in rows])
    assert plain.data_digest == ones.data_digest != heavier.data_digest
    goal = [parse_goal("recall>=0.5")]
    models = [train(each, new_estimator, goal, folds=3).estimator for each in (plain, ones, heavier)]
    logits = [model.decision_function(small_corpus[0]).mean() for model in models]
    assert logits[0] == logits[1] < logits[2]


def test_the_naive_bayes_family_learns_another_model_of_the_same_kernel(small_corpus: Corpus) -> None:
    texts, labels = small_corpus
    fitted = {
        family: new_pipeline(Lexicon(), family=family).fit(texts, labels)
        for family in ("logistic_regression", "nb_logistic_regression")
    }
    plain, weighed = (model.decision_function(texts) for model in fitted.values())
    assert not np.allclose(plain, weighed)
    transformed = fitted["nb_logistic_regression"].named_steps["features"].transform(texts)
    by_hand = fitted["nb_logistic_regression"].named_steps["classifier"].decision_function(transformed)
    assert np.allclose(by_hand, weighed)
