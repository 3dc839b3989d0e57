"""The bootstrap model is an ordinary model folder: one score, no removals, a random share of reviews."""

from __future__ import annotations

import json

import numpy as np
import pytest

from batch.first_model.model_folder import bootstrap_policy, write_bootstrap_model
from moderation.adapters.model_folder.folder import METRICS, OpenModel, open_model
from moderation.contracts import Verdict
from moderation.errors import ConfigurationError
from moderation.policy import ExplorationKeys, Policy
from moderation.scoring import CONSTANT_FAMILY, CONSTANT_PPM, explain
from moderation.text import Lexicon
from moderation.training.drift import drift_of, drift_of_shares
from tests.support.model_folders import MAX_BYTES, TEXTS

KEY = "k" * 32
KEYS = ExplorationKeys.parse(KEY)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenModel:
    folder, lexicon = tmp_path_factory.mktemp("bootstrap"), Lexicon()
    digest = write_bootstrap_model(folder, bootstrap_policy(0.05, KEYS), lexicon)
    model = open_model(folder, lexicon, MAX_BYTES)
    assert model.model_digest == digest
    assert json.loads((folder / METRICS).read_text())["comments"] == 0
    return model


def test_every_text_has_the_same_score_and_no_reason(opened: OpenModel) -> None:
    assert set(opened.kernel.score_many(TEXTS).tolist()) == {CONSTANT_PPM}
    assert set(opened.policy.verdicts(opened.kernel.score_many(TEXTS))) == {Verdict.ALLOW}
    explanation = explain(opened.kernel, "you idiot!!!")
    assert (explanation.score_ppm, explanation.reasons()) == (CONSTANT_PPM, [])
    assert opened.card["training"]["family"] == CONSTANT_FAMILY


def test_the_share_of_the_comments_is_reviewed_and_none_is_removed(opened: OpenModel) -> None:
    count = 20_000
    ids = [number.to_bytes(32, "big") for number in range(count)]
    rulings = opened.policy.decide(np.full(count, CONSTANT_PPM), ids, [()] * count, KEY.encode())
    verdicts = [ruling.verdict for ruling in rulings]
    assert Verdict.REMOVE not in verdicts
    assert abs(verdicts.count(Verdict.REVIEW) / count - 0.05) < 0.01
    assert {ruling.inclusion_ppm for ruling in rulings} == {50_000}
    assert {ruling.drawn_from for ruling in rulings} == {None, Verdict.ALLOW}


def test_no_measure_of_a_day_drifts_from_no_training(opened: OpenModel) -> None:
    values = np.random.default_rng(0).random(5_000)
    findings = [drift_of(reference, values) for reference in opened.reference.numbers().values()]
    findings += [drift_of_shares(counts, {"science": 5_000}) for counts in opened.reference.names().values()]
    assert len(findings) == 6
    assert not any(finding.has_drifted for finding in findings)
    assert opened.kernel.unseen_shares(["two words"], opened.reference.comments).tolist() == [1.0]


def test_a_share_without_a_key_is_refused_and_the_error_says_how_to_make_one() -> None:
    with pytest.raises(ConfigurationError, match="MODERATION_EXPLORATION_KEY: it is not set") as refusal:
        bootstrap_policy(0.05, ExplorationKeys())
    assert "secrets.token_urlsafe(32)" in refusal.value.remedy
    assert "--review-share 0" in refusal.value.remedy


def test_without_reviews_no_key_is_needed() -> None:
    assert bootstrap_policy(0, ExplorationKeys()) == bootstrap_policy(0, KEYS) == Policy(1_000_001, 1_000_001, ())


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match="it is not between 0 and 1"):
        bootstrap_policy(share, KEYS)


@pytest.mark.parametrize(("share", "ppm"), [(1e-9, 1), (0.05, 50_000), (1, 1_000_000)])
def test_a_share_becomes_parts_per_million(share: float, ppm: int) -> None:
    exploration = bootstrap_policy(share, KEYS).exploration
    assert exploration is not None
    assert (exploration.removals_ppm, exploration.allowed_ppm) == (0, ppm)
