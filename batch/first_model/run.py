"""Put the bootstrap model into production, so that a system without labelled comments decides."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batch.first_model.model_folder import bootstrap_policy, write_bootstrap_model
from batch.progress import OnProgress, no_progress
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.promotion_log import note_promotion
from moderation.adapters.registry import GateEvidence, ModelVersion, Registry
from moderation.adapters.registry.certificate import BOOTSTRAP
from moderation.adapters.registry.registry import PRODUCTION
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.kept_models import served_last
from moderation.bootstrap import exploration_keys, new_lexicon, promotion_log, registry, version_opener
from moderation.errors import ConfigurationError
from moderation.policy import Policy
from moderation.policy.exploration import ALL_PPM
from moderation.settings import Settings, required
from moderation.timestamps import now_us

RUN_NAME = "bootstrap"


@dataclass(frozen=True, slots=True)
class BootstrapReport:
    """Result of a bootstrap.

    Attributes:
        version: number of the bootstrap version, which has the alias ``production``.
        is_new: False if it had the alias already.
        review_share: share of comments that its policy reviews, in [0, 1].
        policy_version: of its decisions.
        model_digest: SHA-256 of its model file, hexadecimal.
    """

    version: str
    is_new: bool
    review_share: float
    policy_version: str
    model_digest: str

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation bootstrap``."""
        return asdict(self)


def bootstrap(
    settings: Settings,
    *,
    review_share: float,
    by: str,
    reason: str,
    requested_from: str,
    on_progress: OnProgress = no_progress,
) -> BootstrapReport:
    """Register and certify an untrained version and give it the alias ``production``. Safe to repeat.

    Its score is the same for every text. Its policy removes nothing and reviews a random share of the comments. The
    gate of the first retraining does not compare with it.

    Args:
        settings: where registry and ledger are; name the key of the draw.
        review_share: share of all comments that are reviewed, in [0, 1].
        by: who requested it.
        reason: why; the description of the version.
        requested_from: the command, or the URL of the Airflow run.
        on_progress: receives one line at each step.

    Raises:
        ConfigurationError: another version is in production or has decided already; or comments are to be reviewed,
            and no key of the draw is set.
        RegistryUnavailable: MLflow does not answer.
        DatabaseUnavailable: PostgreSQL does not answer.
        LedgerUnsafe: the database is not migrated.
    """
    if not reason.strip():
        raise ConfigurationError(
            "reason of the bootstrap", "it is empty", "State a reason; it is stored with the version."
        )
    models = registry(settings)
    if (serving := models.resolve(PRODUCTION)) is not None:
        return _existing(settings, models, serving)
    _require_no_decision(settings, models)
    policy = bootstrap_policy(review_share, exploration_keys(settings))
    on_progress("registering the bootstrap model")
    version = _registered(settings, models, policy, reason)
    log = promotion_log(settings, models)
    request_id = f"{models.model_name} bootstrap"
    log.request(version, None, "first", by=by, reason=reason, request_id=request_id, requested_from=requested_from)
    if not models.ensure_alias(PRODUCTION, version):  # another version got it meanwhile
        return _existing(settings, models, models.resolve(PRODUCTION) or version)
    note_promotion(models, version, "promoted", by, reason)
    log.confirm(version)
    on_progress(f"version {version.version} is the bootstrap model and has the alias {PRODUCTION}")
    return _report(version, policy, is_new=True)


def _registered(settings: Settings, models: Registry, policy: Policy, reason: str) -> ModelVersion:
    lexicon = new_lexicon(settings)
    with tempfile.TemporaryDirectory(prefix="moderation-bootstrap-") as scratch:
        folder = Path(scratch, "model")
        write_bootstrap_model(folder, policy, lexicon)
        version = models.register(folder, lexicon, settings.model_max_bytes, run_name=RUN_NAME, reason=reason)
    models.certify(version, lexicon, settings.model_max_bytes, gate=GateEvidence(BOOTSTRAP, judged_us=now_us()))
    return version


def _existing(settings: Settings, models: Registry, serving: ModelVersion) -> BootstrapReport:
    """Return the report on the bootstrap version that is in production already.

    Raises:
        ConfigurationError: the version in production is not a bootstrap version.
    """
    if not models.is_bootstrap(serving):
        raise ConfigurationError(
            str(serving),
            f"it has the alias {PRODUCTION}, and the bootstrap model does not replace a version",
            "Nothing needs to be done: workers decide with that version.",
        )
    return _report(serving, version_opener(settings)(serving.version).policy, is_new=False)


def _report(version: ModelVersion, policy: Policy, *, is_new: bool) -> BootstrapReport:
    share = 0.0 if policy.exploration is None else policy.exploration.allowed_ppm / ALL_PPM
    return BootstrapReport(version.version, is_new, share, policy.policy_version, version.model_digest)


def _require_no_decision(settings: Settings, models: Registry) -> None:
    topic = settings.topic_prefix + COMMENTS.name
    with connected(required(settings.database_url, "database_url")) as connection:
        number = served_last(connection, topic)
    if number is not None:
        raise ConfigurationError(
            f"{models.model_name} version {number}",
            f"it has decided comments of topic {topic} already, so this is no first start",
            f"Give that version the alias {PRODUCTION} in MLflow, or start the worker: it serves the version that "
            "decided last.",
        )
