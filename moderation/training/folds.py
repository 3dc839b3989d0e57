"""Folds for cross-validation: equal texts are in one fold, so that no model is evaluated on a training text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from moderation.training.examples import Examples


def assign_folds(examples: Examples, folds: int, seed: int) -> NDArray[np.int64]:
    """Assign every example to a fold, stratified by label over distinct texts.

    Args:
        examples: at least ``folds`` distinct texts of each class.
        folds: number of folds, at least 2.
        seed: seed of the shuffle.

    Returns:
        Fold numbers from 0, shape (texts,).
    """
    first_seen: dict[str, int] = {}
    group = np.array([first_seen.setdefault(text, len(first_seen)) for text in examples.texts])
    label_of_group = np.zeros(len(first_seen), bool)
    label_of_group[group[::-1]] = examples.removed[::-1]
    fold_of_group = np.zeros(len(first_seen), np.int64)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(label_of_group, label_of_group)):
        fold_of_group[held_out] = fold
    folded: NDArray[np.int64] = fold_of_group[group]
    return folded
