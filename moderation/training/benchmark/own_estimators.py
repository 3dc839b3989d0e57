"""Estimators of the user's own code: ``module:callable`` names a function or class that returns an unfitted one.

The code runs in this process, as the user's own program does. Nothing is unpickled: an estimator is created and fitted,
never loaded.
"""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from moderation.errors import ConfigurationError, TrainingError
from moderation.training.benchmark.baselines import ModelSpec, log_odds
from moderation.training.metrics import Floats

NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_REMEDY = (
    "Name MODULE:CALLABLE, e.g. mymodels:linear_svm for a function of mymodels.py in this folder that returns an "
    "unfitted scikit-learn pipeline, which begins with a vectorizer."
)


class OwnEstimator:
    """An estimator of the user: its fit and scores, with errors that name it.

    Args:
        name: as the user wrote it.
        estimator: unfitted; takes texts and labels (1 = removed).
    """

    def __init__(self, name: str, estimator: Any) -> None:
        self._name = name
        self._estimator = estimator

    def fit(self, texts: Sequence[str], y: NDArray[np.int64]) -> Self:
        """Fit on bodies and labels (1 = removed).

        Raises:
            TrainingError: the estimator raises an error.
        """
        try:
            self._estimator.fit(texts, y)
        except Exception as error:
            raise _failed(self._name, "fit", error) from error
        return self

    def decision_function(self, texts: Sequence[str]) -> Floats:
        """Log-odds of removal, or another number that increases with it, shape (texts,).

        Raises:
            TrainingError: the estimator raises an error, or does not return one number for each text.
        """
        try:
            scores = log_odds(self._estimator, texts)
        except Exception as error:
            raise _failed(self._name, "score", error) from error
        if scores.shape != (len(texts),) or not np.isfinite(scores).all():
            raise TrainingError(
                self._name,
                f"it returns scores of shape {scores.shape} for {len(texts):,} texts, or scores that are not finite",
                "Return an estimator of two classes, 0 and 1.",
            )
        return scores


def own_estimator(name: str, folder: Path | None = None) -> ModelSpec:
    """Return the model that ``module:callable`` names. The callable is called once here, and once for each fold.

    Args:
        name: e.g. ``mymodels:linear_svm``.
        folder: where modules are looked for first; the current folder if None.

    Raises:
        ConfigurationError: the module cannot be imported, it has no such callable, or what this returns is not an
            unfitted estimator.
    """
    create = _callable(name, folder or Path.cwd())

    def new_estimator() -> Any:
        try:
            estimator = create()
        except Exception as error:
            raise ConfigurationError(name, f"calling it fails{_place(error)}: {_text(error)}", _REMEDY) from error
        if not hasattr(estimator, "fit") or not (
            hasattr(estimator, "decision_function") or hasattr(estimator, "predict_proba")
        ):
            kind = type(estimator).__name__
            cause = f"it returns a value of type {kind} without fit, or without decision_function or predict_proba"
            raise ConfigurationError(name, cause, _REMEDY)
        return estimator

    first = new_estimator()
    if first is new_estimator():
        raise ConfigurationError(
            name, "it returns the same estimator twice, which would be fitted on all folds", _REMEDY
        )
    return ModelSpec(name, name, " ".join(repr(first).split()), lambda: OwnEstimator(name, new_estimator()))


def _callable(name: str, folder: Path) -> Callable[[], Any]:
    module_name, _, attribute = name.partition(":")
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        value: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            value = getattr(value, part)
    except Exception as error:
        raise ConfigurationError(name, f"it cannot be imported{_place(error)}: {_text(error)}", _REMEDY) from error
    finally:
        sys.path.remove(str(folder))
    if not callable(value):
        raise ConfigurationError(name, f"it is of type {type(value).__name__} and cannot be called", _REMEDY)
    created: Callable[[], Any] = value
    return created


def _failed(name: str, step: str, error: Exception) -> TrainingError:
    return TrainingError(name, f"its {step} fails{_place(error)}: {_text(error)}", "Fix it and run the command again.")


def _place(error: Exception) -> str:
    """Return file and line of the user's code that an error passed last, of all frames outside of packages."""
    foreign = Path(__file__).parent, Path(importlib.__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if "site-packages" not in path.parts and not frame.filename.startswith("<") and path.parent not in foreign:
            return f" in {path.name}, line {frame.lineno}"
    return ""


def _text(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300] if lines else 'no message'}"
