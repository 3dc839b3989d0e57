"""Two models and a lake whose records they score."""

from __future__ import annotations

from pathlib import Path

import pytest

from moderation.adapters.model_folder.folder import save_model
from moderation.scoring import ModerationPipeline, new_pipeline
from moderation.text import Lexicon
from moderation.training.metrics import Metrics
from tests.support.reference import REFERENCE
from tests.support.rescoring_lake import (
    POLICIES,
    LakeOfATest,
)


@pytest.fixture(scope="module")
def models(
    pipeline: ModerationPipeline, small_corpus: tuple[list[str], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Two versions that score otherwise, with other thresholds."""
    texts, labels = small_corpus
    folder = tmp_path_factory.mktemp("models")
    metrics = Metrics(0.9, (0.9, 0.9), 0.9, 0.8, 0.1, 0.02, 0.7, 100, 30)
    other = new_pipeline(Lexicon()).fit(texts[:100], labels[:100])
    for version, fitted in (("1", pipeline), ("2", other)):
        training = {"data_digest": "d" * 64, "seed": 0, "folds": 5}
        save_model(folder / version, fitted, POLICIES[version], metrics, REFERENCE, training)
    return {version: folder / version for version in POLICIES}


@pytest.fixture
def lake(tmp_path: Path, models: dict[str, Path]) -> LakeOfATest:
    return LakeOfATest(tmp_path, models)
