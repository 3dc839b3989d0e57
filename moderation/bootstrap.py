"""The composition root: builds the parts of the core from settings and connects them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moderation.adapters.model_folder.folder import OpenModel, open_model, save_model
from moderation.adapters.override import Override
from moderation.contracts import Comment
from moderation.errors import ModelRefused, NotInRegistry
from moderation.policy import ExplorationKeys, ExplorationShares, Goal
from moderation.scoring import Family, ModerationPipeline, new_pipeline
from moderation.settings import Settings, required, secret_text
from moderation.text import Lexicon
from moderation.training import collect_examples, train
from moderation.training.outcome import Registration, TrainReport
from moderation.training.reference import training_reference
from moderation.training.seen_texts import FILE as SEEN_TEXTS
from moderation.training.seen_texts import SeenTexts

if TYPE_CHECKING:
    from moderation.adapters.promotion_log import PromotionLog
    from moderation.adapters.registry import Registry
    from moderation.adapters.registry.kept_versions import KeptVersions


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
        ConfigurationError: no key is set, a key or the address is malformed, or the account is incomplete.
    """
    from moderation.adapters.registry import Registry  # MLflow is an optional dependency of the core
    from moderation.adapters.registry.client import use_account
    from moderation.adapters.registry.keys import CertificateKeys

    keys = CertificateKeys.parse(
        signing=secret_text(settings.signing_key),
        verify=settings.verify_keys or None,
        old=secret_text(settings.certificate_key),
    )
    use_account(settings.mlflow_username, secret_text(settings.mlflow_password))
    return Registry(settings.mlflow_url, settings.model_name, keys, overrides_allowed=settings.overrides == "allowed")


def exploration_keys(settings: Settings) -> ExplorationKeys:
    """Return the keys with which this process computes draws.

    Raises:
        ConfigurationError: a key is too short.
    """
    secret = settings.exploration_key
    return ExplorationKeys.parse(None if secret is None else secret.get_secret_value())


def _with_key(opened: OpenModel, keys: ExplorationKeys, name: str) -> OpenModel:
    return replace(opened, exploration_key=keys.of(opened.policy.exploration, name))


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
        open_first: returns the model of a worker that starts without the registry, or whose override has ended: the
            certified version that decided last, from this machine or from the ledger's database, else the one opened
            last on this machine; None if no version has decided and none was opened.
        keep: stores the version that was opened last in the ledger's database, for ``open_first`` of other machines.
            A version without certificate is not stored.
        override_of: returns the override by which a version may serve now; None if it has a certificate. It raises
            ``ModelRefused`` if it has neither.
    """

    resolve: Callable[[], str | None]
    open_version: Callable[[str], OpenModel]
    open_last_good: Callable[[], tuple[str, OpenModel] | None]
    open_first: Callable[[], tuple[str, OpenModel] | None]
    keep: Callable[[str], None]
    override_of: Callable[[str], Override | None]


def production_model(settings: Settings) -> ProductionModel:
    """Access to the model with the alias ``production``. The functions raise the errors of ``Registry``.

    They refuse a model whose policy explores with a key that the settings do not have.

    Raises:
        ConfigurationError: see :func:`registry`, or an exploration key is too short.
    """
    from moderation.adapters.kafka.topics import COMMENTS
    from moderation.adapters.registry.certificate import CARD_DIGEST_TAG
    from moderation.adapters.registry.download import FILES
    from moderation.adapters.sql import kept_models
    from moderation.adapters.sql.connection import connected

    models = registry(settings)
    keys = exploration_keys(settings)
    lexicon = new_lexicon(settings)
    cache = settings.state_folder / "models"
    stored = _kept_versions(settings, models, lexicon)

    def resolve() -> str | None:
        version = models.resolve("production")
        return None if version is None else version.version

    def open_version(number: str) -> OpenModel:
        version = models.version(number)
        opened = models.open_certified(version, lexicon, settings.model_max_bytes, cache, to_serve=True)
        return _with_key(opened, keys, str(version))

    def open_last_good() -> tuple[str, OpenModel] | None:
        last_good = models.open_last_good(lexicon, settings.model_max_bytes, cache)
        if last_good is None:
            return None
        number, opened = last_good
        return number, _with_key(opened, keys, f"version {number}")

    def served_last() -> str | None:
        with connected(_database(settings), name="moderation model") as connection:
            return kept_models.served_last(connection, settings.topic_prefix + COMMENTS.name)

    def open_first() -> tuple[str, OpenModel] | None:
        number, local, refusal = served_last(), None, None
        try:
            local = open_last_good()
        except ModelRefused as error:
            refusal = error
        if number is not None and (local is None or local[0] != number):
            try:
                if (kept := stored.open(number, to_serve=True)) is not None:
                    return number, _with_key(kept, keys, f"version {number}")
            except ModelRefused as error:
                refusal = error
        if local is not None:
            return local
        if number is not None and refusal is None:
            refusal = NotInRegistry(
                f"{models.model_name} version {number}",
                "it decided last, and neither this machine nor table speed.kept_models has its files",
                "The worker waits. Start MLflow, or give a certified version the alias production.",
            )
        if refusal is not None:
            raise refusal
        return None

    def keep(number: str) -> None:
        serving = models.certificate_to_serve(cache)
        if serving is None or serving[0] != number:  # an override serves: it never becomes a certificate
            return
        digest = serving[1][CARD_DIGEST_TAG]
        kept = kept_models.KeptModel(digest, serving[1])
        with connected(_database(settings), name="moderation model") as connection:
            kept_models.keep(connection, models.model_name, number, kept, cache / digest, FILES)

    return ProductionModel(resolve, open_version, open_last_good, open_first, keep, models.override_of)


def _kept_versions(settings: Settings, models: Registry, lexicon: Lexicon) -> KeptVersions:
    from moderation.adapters.registry.kept_versions import KeptVersions

    cache = settings.state_folder / "models"
    return KeptVersions(models, lambda: _database(settings), lexicon, settings.model_max_bytes, cache)


def _database(settings: Settings) -> str:
    return required(settings.database_url, "database_url")


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


def deciding_version_opener(settings: Settings) -> Callable[[str], OpenModel]:
    """Return a function as :func:`version_opener` does, whose models decide on records.

    It also raises ``ModelRefused`` for a model whose policy explores with a key that the settings do not have.

    Raises:
        ConfigurationError: see :func:`registry`, or an exploration key is too short.
    """
    open_version, keys = version_opener(settings), exploration_keys(settings)
    return lambda number: _with_key(open_version(number), keys, f"version {number} of {settings.model_name}")


def past_version_opener(settings: Settings) -> Callable[[str], OpenModel]:
    """Return a function as :func:`deciding_version_opener` does, for versions that decided in the past.

    It raises the errors of :meth:`moderation.adapters.registry.kept_versions.KeptVersions.open_past`.

    Raises:
        ConfigurationError: see :func:`registry`, or an exploration key is too short.
    """
    open_registered, keys = version_opener(settings), exploration_keys(settings)
    kept = _kept_versions(settings, registry(settings), new_lexicon(settings))
    name = f"version {{}} of {settings.model_name}"
    return lambda number: _with_key(kept.open_past(number, open_registered), keys, name.format(number))


def register(
    folder: Path, settings: Settings, reason: str, *, by: str = "unknown", requested_from: str = "command line"
) -> Registration:
    """Register a model folder. While no trained version serves, judge and certify it, too.

    It becomes ``production`` if no version is, and the history records that. While another version serves, the gate
    must compare the two: the new one gets neither certificate nor alias.

    Args:
        folder: as written by :func:`train_to_folder`.
        settings: name registry, model and database; without a database the history has no record.
        reason: why the model was trained.
        by: who requested it.
        requested_from: the command that registers it.

    Raises:
        ModelRefused: the folder, or its copy in the registry, does not verify.
        GateStopped: no version serves, and its measurements do not suffice; it is registered without certificate.
        ConfigurationError: see :func:`registry`.
        DatabaseUnavailable: PostgreSQL does not answer.
        LedgerUnsafe: the database is not migrated.
    """
    from moderation.adapters.registry.first_version import certify_first

    models = registry(settings)
    lexicon = new_lexicon(settings)
    version = models.register(folder, lexicon, settings.model_max_bytes, run_name="train", reason=reason)
    serving = models.resolve("production")
    if serving is not None and not models.is_bootstrap(serving):
        return Registration(version.version, is_production=False, is_certified=False)
    certify_first(models, version, folder, lexicon, settings.model_max_bytes)
    if settings.database_url is None or models.resolve("production") is not None:
        return Registration(version.version, models.ensure_alias("production", version), is_certified=True)
    from moderation.adapters.promotion_log import note_promotion

    log = promotion_log(settings, models)
    request_id = f"{settings.model_name} first"
    log.request(version, None, "first", by=by, reason=reason, request_id=request_id, requested_from=requested_from)
    is_production = models.ensure_alias("production", version)
    if is_production:
        note_promotion(models, version, "promoted", by, reason)
        log.confirm(version)
    return Registration(version.version, is_production, is_certified=True)


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
    lower_goals: bool = False,
    exploration: ExplorationShares = ExplorationShares(),  # noqa: B008 - immutable
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
        lower_goals: replace goals that cannot be met by the nearest ones that can.
        exploration: shares that the policy explores, if the settings have a key for it.
        lineage: origin of the comments; stored in the model card with digest, seed, folds, family, the stated goals
            and shares of exploration, the event time of the newest comment, and the digest of the texts' digests.
        on_progress: called with the name of each step when it begins.

    Raises:
        TrainingError: too few examples of a class.
        GoalUnmet: no thresholds meet the goals, and ``lower_goals`` is False.
        ConfigurationError: the goals contradict each other, or an exploration key is too short.
    """
    keys = exploration_keys(settings)
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
        lower_goals=lower_goals,
        on_progress=on_progress,
    )
    on_progress("writing the model")
    seen_texts = SeenTexts.of(examples.texts).to_bytes()
    training = {
        "data_digest": examples.data_digest,
        "seed": seed,
        "folds": folds,
        "family": family,
        "goals_stated": [str(goal) for goal in goals],
        "goals_lowered": [asdict(lowering) for lowering in trained.lowered],
        "exploration_stated": {"removals": exploration.removals, "allowed": exploration.allowed},
        "newest_us": examples.newest_us,
        "seen_texts_sha256": hashlib.sha256(seen_texts).hexdigest(),
        **(lineage or {}),
    }
    explored = exploration.resolve(keys.newest, comments_per_day)
    policy = replace(trained.policy, exploration=explored)
    reference = training_reference(examples, trained.probability, trained.unseen, policy)
    digest = save_model(out, trained.estimator, policy, trained.metrics, reference, training)
    (out / SEEN_TEXTS).write_bytes(seen_texts)
    from moderation.training.plots.training import draw_plots  # loads Matplotlib, which workers do not need

    plots = out / "plots"
    plots.mkdir(exist_ok=True)
    draw_plots(plots, trained.probability, examples.removed, policy, trained.metrics)
    return TrainReport(digest, examples.data_digest, trained.metrics, policy, trained.lowered)
