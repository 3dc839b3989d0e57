"""Training a model folder: what its policy explores."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from moderation.bootstrap import load, train_to_folder
from moderation.contracts import Comment
from moderation.errors import ConfigurationError
from moderation.policy import parse_goal
from moderation.settings import Settings

KEY = "a key of exactly 32 bytes or more"


def test_a_training_explores_if_there_is_a_key(small_corpus: tuple[list[str], list[int]], tmp_path: Path) -> None:
    labelled = [
        (Comment(f"c{number}", "x", text, number), bool(label))
        for number, (text, label) in enumerate(zip(*small_corpus, strict=True))
    ]
    digests = set()
    for name, settings, shares in (
        ("without", Settings(), None),
        ("with", Settings(exploration_key=SecretStr(KEY)), (10_000, 500)),
    ):
        out = tmp_path / name
        report = train_to_folder(labelled, out, [parse_goal("precision>=0.9")], settings, folds=2, comments_per_day=1e5)
        digests.add(report.model_digest)
        explored = load(out, settings).policy.exploration
        assert explored == report.policy.exploration
        assert (None if explored is None else (explored.removals_ppm, explored.allowed_ppm)) == shares
    assert len(digests) == 1, "exploration is part of the policy, not of the model"


def test_a_short_key_is_refused_before_the_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="MODERATION_EXPLORATION_KEY"):
        train_to_folder([], tmp_path, [], Settings(exploration_key=SecretStr("short")))
