from __future__ import annotations

from itertools import chain, islice

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from moderation.datasets.history import LabelledComment
from moderation.datasets.synthetic import TrafficConfig, labelled_history
from moderation.scoring import new_pipeline
from moderation.text import Lexicon

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon()


def auc(train: list[LabelledComment], test: list[LabelledComment], lexicon: Lexicon) -> float:
    model = new_pipeline(lexicon).fit([each.comment.body for each in train], [int(each.removed) for each in train])
    scores = model.decision_function([each.comment.body for each in test])
    return float(roc_auc_score([each.removed for each in test], scores))


def test_the_model_reaches_an_auc_between_85_and_90_percent(lexicon: Lexicon) -> None:
    comments = list(islice(labelled_history(TrafficConfig()), 12_000))
    folds = StratifiedKFold(3, shuffle=True, random_state=0).split(
        np.zeros(len(comments)), [each.removed for each in comments]
    )
    held_out = [
        auc([comments[index] for index in train], [comments[index] for index in test], lexicon) for train, test in folds
    ]
    assert 0.85 < np.mean(held_out) < 0.90


def test_vocabulary_drift_lowers_the_auc_of_an_old_model_only(lexicon: Lexicon) -> None:
    config = TrafficConfig(days=9, drift_from_day=3)
    days: list[list[LabelledComment]] = [[] for _ in range(config.days)]
    for each in labelled_history(config):
        days[(each.comment.event_time_us - config.start_us) // 86_400_000_000].append(each)
    today = list(chain(*days[6:]))
    old = auc(list(chain(*days[:3])), today, lexicon)
    assert auc(list(chain(*days[3:6])), today, lexicon) > old + 0.02
