"""The composition root: builds the parts of the core from settings and connects them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moderation.adapters.model_folder.folder import OpenModel, open_model, save_model
from moderation.contracts import Comment
from moderation.policy import Goal, Policy
from moderation.scoring import Family, ModerationPipeline, new_pipeline
from moderation.settings import Settings, required
from moderation.text import Lexicon
from moderation.training import collect_examples, train
from moderation.training.metrics import Metrics
from moderation.training.reference import training_reference

if TYPE_CHECKING:
    from moderation.adapters.promotion_log import PromotionLog
    from moderation.adapters.registry import Registry


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The result of a training run.

    Attributes:
        model_digest: SHA-256 of the model file, hexadecimal; equal for equal data, goals, folds and seed.
        data_digest: SHA-256 over the examples, hexadecimal.
        metrics: out-of-fold measurements.
        policy: the resolved thresholds.
    """

    model_digest: str
    data_digest: str
    metrics: Metrics
    policy: Policy


def new_lexicon(settings: Settings) -> Lexicon:
    """Create the lexicon that all kernels of this process share."""
    return Lexicon(settings.lexicon_max_chunks)


def load(folder: Path, settings: Settings) -> OpenModel:
    """Verify and open a model folder with a new lexicon.

    Raises:
        ModelRefused: see :func:`moderation.adapters.model_folder.folder.open_model`.
    """
    return open_model(folder, new_lexicon(settings), settings.model_max_bytes)


def registry(settings: Settings) -> Registry:
    """Open the registry of the configured model.

    Raises:
        ConfigurationError: the certificate key is not set or too short, or the address is malformed.
    """
    from moderation.adapters.registry import Registry  # MLflow is an optional dependency of the core

    key = required(settings.certificate_key, "certificate_key").encode()
    return Registry(settings.mlflow_url, settings.model_name, key)


def promotion_log(settings: Settings, models: Registry) -> PromotionLog:
    """Return the log of the promotions of a model.

    Args:
        settings: name database and topic.
        models: registry of the model.

    Raises:
        ConfigurationError: the database is not set.
    """
    from moderation.adapters.kafka.topics import COMMENTS
    from moderation.adapters.promotion_log import PromotionLog

    database_url = required(settings.database_url, "database_url")
    return PromotionLog(database_url, settings.topic_prefix + COMMENTS.name, models)


@dataclass(frozen=True, slots=True)
class ProductionModel:
    """Access to the model that a worker serves.

    Attributes:
        resolve: returns the version number of the alias ``production``; None if it is not set.
        open_version: opens a version by its number.
        open_last_good: returns version number and model of the version opened last on this machine, without the
            registry; None if none was opened.
    """

    resolve: Callable[[], str | None]
    open_version: Callable[[str], OpenModel]
    open_last_good: Callable[[], tuple[str, OpenModel] | None]


def production_model(settings: Settings) -> ProductionModel:
    """Access to the model with the alias ``production``. The functions raise the errors of ``Registry``.

    Raises:
        ConfigurationError: see :func:`registry`.
    """
    models = registry(settings)
    lexicon = new_lexicon(settings)
    cache = settings.state_folder / "models"

    def resolve() -> str | None:
        version = models.resolve("production")
        return None if version is None else version.version

    def open_version(number: str) -> OpenModel:
        return models.open_certified(models.version(number), lexicon, settings.model_max_bytes, cache, to_serve=True)

    def open_last_good() -> tuple[str, OpenModel] | None:
        return models.open_last_good(lexicon, settings.model_max_bytes, cache)

    return ProductionModel(resolve, open_version, open_last_good)


def version_opener(settings: Settings) -> Callable[[str], OpenModel]:
    """Return a function that opens certified versions by number, all with one lexicon, to score comments with them.

    It does not change the version that a worker starts with while the registry is unavailable. It raises the errors of
    ``Registry.open_certified``.

    Raises:
        ConfigurationError: see :func:`registry`.
    """
    models = registry(settings)
    lexicon = new_lexicon(settings)
    cache = settings.state_folder / "models"
    return lambda number: models.open_certified(models.version(number), lexicon, settings.model_max_bytes, cache)


def register(
    folder: Path, settings: Settings, reason: str, *, by: str = "unknown", requested_from: str = "command line"
) -> tuple[str, bool]:
    """Register and certify a model folder; it becomes ``production`` if no version is, and the history records that.

    Args:
        folder: as written by :func:`train_to_folder`.
        settings: name registry, model and database; without a database the history has no record.
        reason: why the model was trained.
        by: who requested it.
        requested_from: the command that registers it.

    Returns:
        The version number, and whether it became ``production``.

    Raises:
        ModelRefused: the folder, or its copy in the registry, does not verify.
        ConfigurationError: see :func:`registry`.
        DatabaseUnavailable: PostgreSQL does not answer.
        LedgerUnsafe: the database is not migrated.
    """
    models = registry(settings)
    lexicon = new_lexicon(settings)
    version = models.register(folder, lexicon, settings.model_max_bytes, run_name="train", reason=reason)
    models.certify(version, lexicon, settings.model_max_bytes)
    if settings.database_url is None or models.resolve("production") is not None:
        return version.version, models.ensure_alias("production", version)
    from moderation.adapters.promotion_log import note_promotion

    log = promotion_log(settings, models)
    request_id = f"{settings.model_name} first"
    log.request(version, None, "first", by=by, reason=reason, request_id=request_id, requested_from=requested_from)
    is_production = models.ensure_alias("production", version)
    if is_production:
        note_promotion(models, version, "promoted", by, reason)
        log.confirm(version)
    return version.version, is_production


def train_to_folder(
    labelled: Iterable[tuple[Comment, bool]],
    out: Path,
    goals: Sequence[Goal],
    settings: Settings,
    *,
    folds: int = 5,
    seed: int = 0,
    comments_per_day: float | None = None,
    weights: Sequence[float] | None = None,
    family: Family = "logistic_regression",
    lineage: Mapping[str, Any] | None = None,
    on_progress: Callable[[str], None] = lambda step: None,
) -> TrainReport:
    """Train a model on labelled comments and write its folder.

    Args:
        labelled: comments, and whether a moderator removed them.
        out: the model folder, see :mod:`moderation.adapters.model_folder.folder`.
        goals: goals that the policy must meet.
        settings: limit the memory of the lexicon.
        folds: number of folds of the cross-validation.
        seed: seed of the folds.
        comments_per_day: volume, for goals on reviews per day.
        weights: number of comments that each one represents, in the same order; 1 each if None.
        family: family of models.
        lineage: origin of the comments; stored in the model card with digest, seed, folds and family.
        on_progress: called with the name of each step when it begins.

    Raises:
        TrainingError: too few examples of a class.
        GoalUnmet: no thresholds meet the goals.
        ConfigurationError: the goals contradict each other.
    """
    on_progress("reading comments")
    examples = collect_examples(labelled, weights)
    lexicon = new_lexicon(settings)

    def new_estimator() -> ModerationPipeline:
        return new_pipeline(lexicon, family=family)

    trained = train(
        examples,
        new_estimator,
        goals,
        folds=folds,
        seed=seed,
        comments_per_day=comments_per_day,
        on_progress=on_progress,
    )
    on_progress("writing the model")
    training = {"data_digest": examples.data_digest, "seed": seed, "folds": folds, "family": family, **(lineage or {})}
    reference = training_reference(examples, trained.probability, trained.unseen, trained.policy)
    digest = save_model(out, trained.estimator, trained.policy, trained.metrics, reference, training)
    from moderation.training.plots.training import draw_plots  # loads Matplotlib, which workers do not need

    plots = out / "plots"
    plots.mkdir(exist_ok=True)
    draw_plots(plots, trained.probability, examples.removed, trained.policy, trained.metrics)
    return TrainReport(digest, examples.data_digest, trained.metrics, trained.policy)
