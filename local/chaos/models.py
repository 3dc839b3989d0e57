"""Model versions for chaos runs: two that may serve, and one that must be refused."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mlflow import MlflowClient

from moderation.adapters.registry.certificate import CERTIFICATE_TAG, GateEvidence
from moderation.adapters.registry.registry import PRODUCTION
from moderation.bootstrap import new_lexicon, registry, train_to_folder
from moderation.datasets.synthetic import TrafficConfig, labelled_history
from moderation.policy import parse_goal
from moderation.settings import Settings

_EXAMPLES = 3_000
_GOALS = ("review_share<=0.1", "review_share<=0.3")


@dataclass(frozen=True, slots=True)
class Models:
    """Version numbers in the registry.

    Attributes:
        good: versions that may serve; their policies differ.
        refused: a version with an invalid certificate.
    """

    good: tuple[str, ...]
    refused: str


def make_models(settings: Settings, folder: Path) -> Models:
    """Train and register the versions; the first good one becomes ``production``."""
    history = list(islice(labelled_history(TrafficConfig(seed=7, days=30, comments_per_day=200)), _EXAMPLES))
    labelled = [(row.comment, row.removed) for row in history]
    good = []
    for number, goal in enumerate(_GOALS):
        train_to_folder(labelled, folder / str(number), [parse_goal(goal)], settings, folds=3, seed=number)
        good.append(_certified(folder / str(number), settings, "for chaos"))
    refused = _certified(folder / "0", settings, "to be refused")
    client = MlflowClient(settings.mlflow_url, settings.mlflow_url)
    copied = client.get_model_version(settings.model_name, good[0]).tags[CERTIFICATE_TAG]
    client.set_model_version_tag(settings.model_name, refused, CERTIFICATE_TAG, copied)
    return Models(tuple(good), refused)


def _certified(folder: Path, settings: Settings, reason: str) -> str:
    """Register a version and certify it without a gate; the first one becomes ``production``."""
    models, lexicon, most = registry(settings), new_lexicon(settings), settings.model_max_bytes
    version = models.register(folder, lexicon, most, run_name="chaos", reason=reason)
    models.certify(version, lexicon, most, gate=GateEvidence("passed"))
    models.ensure_alias(PRODUCTION, version)
    return version.version


def move_alias(settings: Settings, version: str) -> None:
    """Move the alias ``production`` to a version.

    Raises:
        mlflow.exceptions.MlflowException: the server does not answer.
    """
    client = MlflowClient(settings.mlflow_url, settings.mlflow_url)
    client.set_registered_model_alias(settings.model_name, PRODUCTION, version)
