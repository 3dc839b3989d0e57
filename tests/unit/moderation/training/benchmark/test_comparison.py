"""Comparison of models on the same folds: measurements, differences and reproducibility."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from moderation.contracts import Comment
from moderation.errors import TrainingError
from moderation.scoring import new_pipeline
from moderation.text import Lexicon
from moderation.training import Examples, collect_examples, train
from moderation.training.benchmark.baselines import ModelSpec, normal_forms, one_and_two_grams, usual_baselines
from moderation.training.benchmark.comparison import ModelComparison, compare
from moderation.training.gate import Interval
from moderation.training.plots.comparison import draw_comparison
from moderation.training.seen_texts import SeenTexts

pytestmark = pytest.mark.slow

Floats = NDArray[np.float64]
NAMES = {"logistic_regression", "lda", "knn", "naive_bayes", "sgd", "random_forest", "gradient_boosting"}


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Comments of forty words, a quarter of which are slightly more frequent in removed ones."""
    rng = np.random.default_rng(3)
    words = np.array([f"{a}{b}{c}" for a, b, c in itertools.product("bdgklmnr", "aeiou", "x")])
    rows = []
    for _ in range(360):
        removed = bool(rng.random() < 0.4)
        weight = np.where(np.arange(len(words)) % 4 == 0, 2.0 if removed else 1.0, 1.0)
        rows.append((" ".join(rng.choice(words, 12, p=weight / weight.sum())), removed))
    return collect_examples((Comment(f"c{n}", "x", text, n), removed) for n, (text, removed) in enumerate(rows))


def all_compared(examples: Examples, seed: int, names: set[str] = NAMES) -> ModelComparison:
    lexicon = Lexicon()
    ours = ModelSpec("pipeline", "our pipeline", "ours", lambda: new_pipeline(lexicon))
    others = [spec for spec in usual_baselines(lexicon, seed) if spec.name in names]
    return compare(examples, ours, others, folds=3, seed=seed)


@pytest.fixture(scope="module")
def comparison(examples: Examples) -> ModelComparison:
    return all_compared(examples, seed=7)


def noise_of(examples: Examples, seed: int) -> dict[str, float]:
    values = np.random.default_rng(seed).normal(0, 1, len(examples.texts))
    return dict(zip(examples.texts, values.tolist(), strict=True))


def labels_of(examples: Examples) -> dict[str, bool]:
    return dict(zip(examples.texts, examples.removed.tolist(), strict=True))


class Fixed:
    """Returns a fixed score for every text."""

    def __init__(self, said: Callable[[str], float]) -> None:
        self.said = said
        self.shown: set[str] = set()

    def fit(self, texts: Sequence[str], y: NDArray[np.int64]) -> None:
        self.shown = set(texts)

    def decision_function(self, texts: Sequence[str]) -> Floats:
        assert not self.shown & set(texts), "it is asked about what it was shown"
        return np.array([self.said(text) for text in texts])


def fixed(name: str, said: Callable[[str], float]) -> ModelSpec:
    return ModelSpec(name, name, "fixed", lambda: Fixed(said))


def figures(comparison: ModelComparison) -> dict[str, Any]:
    fields = comparison.fields()
    for model in fields["models"]:
        assert model.pop("fit_seconds") >= 0
        assert model.pop("comments_per_s") > 0
    return fields


def test_the_seven_baselines_learn_and_are_compared_with_our_model(comparison: ModelComparison) -> None:
    assert {model.spec.name for model in comparison.models} == NAMES | {"pipeline"}
    for model in comparison.models:
        assert model.metrics.auc_mean > 0.55, model.spec.name
        assert len(model.metrics.auc_folds) == 3
        assert (model.difference is None) == (model.spec.name == "pipeline")
    means = [model.metrics.auc_mean for model in comparison.models]
    assert means == sorted(means, reverse=True)
    recipes = {model.spec.name: model.spec.recipe for model in comparison.models}
    assert "TruncatedSVD(n_components=100" in recipes["lda"]
    assert "MultinomialNB(alpha=0.1)" in recipes["naive_bayes"]


def test_our_row_is_what_training_measures(examples: Examples, comparison: ModelComparison) -> None:
    lexicon = Lexicon()
    trained = train(examples, lambda: new_pipeline(lexicon), [], folds=3, seed=7)
    row = next(model for model in comparison.models if model.spec.name == "pipeline")
    assert row.metrics == trained.metrics
    assert row.probability.tolist() == trained.probability.tolist()


@pytest.mark.long
def test_the_same_seed_gives_the_same_figures_and_another_does_not(
    examples: Examples, comparison: ModelComparison
) -> None:
    assert figures(all_compared(examples, seed=7)) == figures(comparison)
    other = figures(all_compared(examples, seed=8, names={"lda", "sgd"}))
    assert {model["auc_mean"] for model in other["models"]}.isdisjoint(
        model["auc_mean"] for model in figures(comparison)["models"]
    )


def test_differences_are_classified(examples: Examples) -> None:
    label, noise, other = labels_of(examples), noise_of(examples, 0), noise_of(examples, 1)
    comparison = compare(
        examples,
        fixed("base", lambda text: label[text] + noise[text]),
        [
            fixed("the same", lambda text: 5 * (label[text] + noise[text]) - 2),
            fixed("knows", lambda text: label[text]),
            fixed("knows nothing", lambda text: noise[text]),
            fixed("as good", lambda text: label[text] + other[text]),
        ],
        folds=3,
    )
    found = {model.spec.name: model for model in comparison.models}
    assert {name: model.finding for name, model in found.items()} == {
        "base": "baseline",
        "the same": "unclear",
        "knows": "better",
        "knows nothing": "worse",
        "as good": "unclear",
    }
    assert found["the same"].difference == Interval(0.0, 0.0, 0.0)
    assert found["knows"].metrics.auc_mean == 1.0


def fitted(examples: Examples, seen: SeenTexts | None) -> ModelSpec:
    label, noise = labels_of(examples), noise_of(examples, 2)
    model = Fixed(lambda text: 3.0 * label[text] + noise[text] - 1.5)
    return ModelSpec("version 3", "version 3", "fixed", lambda: model, is_fitted=True, seen=seen)


def test_a_fitted_model_scores_as_it_is_and_only_what_it_has_not_seen(examples: Examples) -> None:
    label, noise = labels_of(examples), noise_of(examples, 0)
    base = fixed("base", lambda text: label[text] + noise[text])
    seen = SeenTexts.of([examples.texts[0].upper(), *examples.texts[1:200]])
    comparison = compare(examples, base, [fitted(examples, seen)], folds=3)
    model = next(each for each in comparison.models if each.spec.is_fitted)
    assert model.is_measured.tolist() == [False] * 200 + [True] * 160
    assert (model.metrics.comments, model.fit_seconds) == (160, None)
    logits = np.array([fitted(examples, seen).new_model().decision_function([text])[0] for text in examples.texts])
    assert model.probability.tolist() == expit(logits).tolist()  # not calibrated on these comments
    assert model.difference is not None
    probability = {each.spec.name: each.probability[200:] for each in comparison.models}
    removed = examples.removed[200:]
    aucs = {name: roc_auc_score(removed, values) for name, values in probability.items()}
    assert model.difference.value == pytest.approx(aucs["version 3"] - aucs["base"])
    fields = next(each for each in comparison.fields()["models"] if each["name"] == "version 3")
    assert (fields["comments"], fields["fit_seconds"]) == (160, None)
    everything = compare(examples, base, [fitted(examples, None)], folds=3)
    assert {each.metrics.comments for each in everything.models} == {360}


def test_a_fitted_model_that_has_seen_nearly_everything_is_refused(examples: Examples) -> None:
    with pytest.raises(TrainingError, match=r"version 3: it was trained on 340 of these 360 comments, and \d+ removed"):
        compare(examples, fixed("base", len), [fitted(examples, SeenTexts.of(examples.texts[20:]))], folds=3)


def test_more_models_widen_every_interval(examples: Examples) -> None:
    label, noise = labels_of(examples), noise_of(examples, 1)
    base = fixed("base", lambda text: label[text] + noise[text])
    others = [fixed(f"other {n}", noise_of(examples, n + 2).__getitem__) for n in range(6)]

    def width(count: int) -> float:
        models = compare(examples, base, others[:count], folds=3).models
        difference = next(model for model in models if model.spec.name == "other 0").difference
        assert difference is not None
        return difference.high - difference.low

    assert width(6) > 1.2 * width(1)


def test_times_are_those_of_the_clock(examples: Examples) -> None:
    # The clock is read before and after each fit and each timed scoring: a fit takes 2 s, a scoring 4 s.
    ticks = itertools.cycle((0.0, 2.0, 10.0, 14.0))
    comparison = compare(examples, fixed("base", len), [fixed("other", len)], folds=3, clock=lambda: next(ticks))
    for model in comparison.models:
        assert model.fit_seconds == 2.0
        assert model.comments_per_s == pytest.approx(len(examples.texts) / 12)


def test_progress_names_model_and_fold(examples: Examples) -> None:
    steps: list[str] = []
    compare(examples, fixed("base", len), [fixed("other", len)], folds=2, on_progress=steps.append)
    assert steps == [
        "base (model 1 of 2): fold 1 of 2",
        "base (model 1 of 2): fold 2 of 2",
        "other (model 2 of 2): fold 1 of 2",
        "other (model 2 of 2): fold 2 of 2",
        "other: difference to base",
    ]


def test_words_are_lemmas_and_markers_text_by_text() -> None:
    texts = ["You read 12 studies: http://x.example/y", "", "Two mice ran."]
    assert normal_forms(Lexicon(), texts) == [
        ["<pronoun>", "read", "<number>", "study", ":", "<url>"],
        [],
        ["<number>", "mouse", "run", "."],
    ]
    assert one_and_two_grams(["a", "b", "c"]) == ["a", "b", "c", "a b", "b c"]
    assert one_and_two_grams([]) == []


def test_comments_without_common_words_are_refused_by_name() -> None:
    texts = [f"w{number}" for number in range(80)]
    data = collect_examples((Comment(f"c{n}", "x", text, n), n % 2 == 0) for n, text in enumerate(texts))
    with pytest.raises(TrainingError, match="no word occurs in 2"):
        compare(data, fixed("base", len), usual_baselines(Lexicon(), seed=0)[:1], folds=2)


def test_weights_are_refused_rather_than_ignored(examples: Examples) -> None:
    weighted = replace(examples, weight=np.full(len(examples.texts), 2.0))
    with pytest.raises(TrainingError, match="weights"):
        compare(weighted, fixed("base", len), [fixed("other", len)])


def test_the_picture_shows_every_model(comparison: ModelComparison, tmp_path: Path) -> None:
    draw_comparison(tmp_path / "comparison.png", comparison)
    image = matplotlib.image.imread(tmp_path / "comparison.png")
    assert image.shape[:2] == (770, 1430)
    assert image[..., :3].std() > 0.02
