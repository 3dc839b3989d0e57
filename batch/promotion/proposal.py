"""Proposal of a promotion, as it is shown to the approver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batch.challenge.markdown import render
from batch.challenge.run import COMPARISON_PAGE, comparison_of, newest_comparison
from batch.promotion.eligibility import GATE_REPORT, Refusal, read_refusal
from batch.promotion.page import VersionFacts, gate_lines, goal_lines, lineage_lines, opening
from moderation.adapters.registry import ModelVersion, Registry
from moderation.adapters.registry.registry import CHALLENGER, PRODUCTION
from moderation.adapters.registry.run_artifacts import Logged
from moderation.bootstrap import promotion_log, registry
from moderation.errors import ConfigurationError, NotInRegistry
from moderation.settings import Settings

_SHOWN_DIFFERENT = 10


@dataclass(frozen=True, slots=True)
class Proposal:
    """A promotion as it is shown to the approver.

    Attributes:
        version: the number of the proposed version.
        card_digest: SHA-256 of its card, hexadecimal.
        is_challenger: whether it was requested by the alias ``challenger``.
        replaces: the number of the production version; None if there is none.
        text: Markdown; it contains excerpts of comments, which must not be logged.
        refusal: why the version may not be promoted, and what to do next; None if it may.
    """

    version: str
    card_digest: str
    is_challenger: bool
    replaces: str | None
    text: str
    refusal: str | None = None


def propose(settings: Settings, version: str = CHALLENGER) -> Proposal:
    """Collect the information for a decision: gate, comparison with production, lineage, links.

    Args:
        settings: where the registry is.
        version: a number, or ``challenger`` for the version with that alias.

    Raises:
        NotInRegistry: there is no such version.
        ModelRefused: its certificate does not verify.
        ConfigurationError: it is the production version already.
        RegistryUnavailable: MLflow does not answer.
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    model_registry = registry(settings)
    proposed = find_version(model_registry, version)
    serving = model_registry.resolve(PRODUCTION)
    if serving is not None and serving.version == proposed.version:
        raise ConfigurationError(str(proposed), f"it has the alias {PRODUCTION} already", "Name another version.")
    refusal = read_refusal(settings, model_registry, promotion_log(settings, model_registry), proposed, serving)
    return Proposal(
        proposed.version,
        proposed.card_digest,
        version == CHALLENGER,
        serving.version if serving else None,
        "\n".join(_text(model_registry, settings, proposed, serving, refusal)),
        None if refusal is None else f"{refusal.cause}. {refusal.remedy}",
    )


def find_version(model_registry: Registry, version: str) -> ModelVersion:
    """Find a version by its number, or the one with the alias ``challenger``.

    Raises:
        NotInRegistry: there is no such version.
    """
    if version != CHALLENGER:
        return model_registry.version(version)
    challenger = model_registry.resolve(CHALLENGER)
    if challenger is None:
        raise NotInRegistry(
            f"alias {CHALLENGER} of {model_registry.model_name}",
            "no version has it",
            "Retrain until one passes the gate, or name a version by its number.",
        )
    return challenger


def _text(
    model_registry: Registry,
    settings: Settings,
    proposed: ModelVersion,
    serving: ModelVersion | None,
    refusal: Refusal | None,
) -> Iterator[str]:
    ours = _facts(model_registry, settings, proposed)
    theirs = None if serving is None else _facts(model_registry, settings, serving)
    yield from opening(model_registry.model_name, ours, theirs, refusal)
    yield "## The gate\n"
    yield from gate_lines(ours, _gate_report(model_registry, proposed))
    yield "\n## Goals\n"
    yield from goal_lines(ours, theirs)
    yield "\n## Beside production, on the same comments\n"
    yield from _comparison(model_registry, proposed, serving)
    yield "\n## Where it comes from\n"
    yield from lineage_lines(ours, theirs)


def _gate_report(model_registry: Registry, proposed: ModelVersion) -> Mapping[str, Any] | None:
    if not proposed.run_id:
        return None
    try:
        content = model_registry.run_artifacts.read_json(proposed.run_id, GATE_REPORT)
    except NotInRegistry:
        return None
    return content if isinstance(content, dict) else None


def _comparison(model_registry: Registry, proposed: ModelVersion, serving: ModelVersion | None) -> Iterator[str]:
    if serving is None:
        yield "There is nothing to compare it with."
        return
    comparison = newest_comparison(model_registry, proposed.version, serving.version)
    if comparison is None:
        yield f"**They were not compared.** Give version {proposed.version} the alias `{CHALLENGER}` and run"
        yield "DAG `compare_challenger`."
        return
    yield render(comparison_of(model_registry, comparison), most_different=_SHOWN_DIFFERENT)
    yield f"All of it, with pictures: [{COMPARISON_PAGE}]({comparison.url}/artifacts/{COMPARISON_PAGE})."


def _facts(model_registry: Registry, settings: Settings, version: ModelVersion) -> VersionFacts:
    page = f"{settings.mlflow_url}/#/models/{model_registry.model_name}/versions/{version.version}"
    tags, logged = model_registry.tags(version), _logged(model_registry, version)
    if logged is None:
        return VersionFacts(version.version, page, tags=tags)
    return VersionFacts(version.version, page, logged.url, tags, logged.params, logged.metrics)


def _logged(model_registry: Registry, version: ModelVersion) -> Logged | None:
    try:
        return model_registry.run_artifacts.logged(version.run_id) if version.run_id else None
    except NotInRegistry:  # the run was deleted in MLflow
        return None
