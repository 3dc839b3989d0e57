"""Proposal of a promotion, as it is shown to the approver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from batch.challenge.markdown import render
from batch.challenge.run import COMPARISON_PAGE, comparison_of, newest_comparison
from batch.markdown import code, table
from moderation.adapters.registry import ModelVersion, Registry
from moderation.adapters.registry.registry import CHALLENGER, GATE_REASONS_TAG, GATE_TAG, PREVIOUS, PRODUCTION
from moderation.adapters.registry.run_artifacts import Logged
from moderation.bootstrap import registry
from moderation.errors import ConfigurationError, NotInRegistry
from moderation.settings import Settings

GATE_PAGE = "gate.md"
"""Artifact of a version's run: the report of the gate as Markdown."""
_SHOWN_DIFFERENT = 10
_TAGS = ("reason", "kernel_version", "policy_version", "data_digest", "model_digest")
_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Proposal:
    """A promotion as it is shown to the approver.

    Attributes:
        version: the number of the proposed version.
        card_digest: SHA-256 of its card, hexadecimal.
        is_challenger: whether it was requested by the alias ``challenger``.
        replaces: the number of the production version; None if there is none.
        text: Markdown; it contains excerpts of comments, which must not be logged.
    """

    version: str
    card_digest: str
    is_challenger: bool
    replaces: str | None
    text: str


def propose(settings: Settings, version: str = CHALLENGER) -> Proposal:
    """Collect the information for a decision: gate, comparison with production, lineage, links.

    Args:
        settings: where the registry is.
        version: a number, or ``challenger`` for the version with that alias.

    Raises:
        NotInRegistry: there is no such version.
        ModelRefused: it has no certificate.
        ConfigurationError: it is the production version already.
        RegistryUnavailable: MLflow does not answer.
    """
    model_registry = registry(settings)
    proposed = find_version(model_registry, version)
    model_registry.certificate(proposed.version)
    serving = model_registry.resolve(PRODUCTION)
    if serving is not None and serving.version == proposed.version:
        raise ConfigurationError(str(proposed), f"it has the alias {PRODUCTION} already", "Name another version.")
    text = "\n".join(_text(model_registry, settings, proposed, serving))
    return Proposal(
        proposed.version, proposed.card_digest, version == CHALLENGER, serving.version if serving else None, text
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
    model_registry: Registry, settings: Settings, proposed: ModelVersion, serving: ModelVersion | None
) -> Iterator[str]:
    name = code(model_registry.model_name)
    if serving is None:
        yield f"**Version {proposed.version}** of {name} is to serve. No version serves now.\n"
    else:
        yield (
            f"**Version {proposed.version}** of {name} is to replace version {serving.version}, "
            f"which becomes `{PREVIOUS}`. Workers take it within seconds; DAG `rollback_model` undoes it.\n"
        )
    yield "## The gate\n"
    yield from _gate(model_registry, proposed)
    yield "\n## Beside production, on the same comments\n"
    yield from _comparison(model_registry, proposed, serving)
    yield "\n## Where it comes from\n"
    yield from _lineage(model_registry, settings, proposed, serving)


def _gate(model_registry: Registry, proposed: ModelVersion) -> Iterator[str]:
    tags = model_registry.tags(proposed)
    result = tags.get(GATE_TAG)
    if result == "passed":
        yield "It **passed**."
    elif result is None:
        yield "**The gate has not judged it**: nobody knows whether it is better than what serves."
    else:
        outcome = "had **too few comments** to pass" if result == "too_few" else f"**{result}**"
        yield f"It {outcome}: {code(tags.get(GATE_REASONS_TAG, 'no reasons were kept'))}"
    if proposed.run_id:
        try:
            page = model_registry.run_artifacts.read(proposed.run_id, GATE_PAGE).decode()
            yield "\n" + (f"##{page}" if page.startswith("# ") else page)
        except NotInRegistry:
            yield f"\nIts run has no `{GATE_PAGE}`."


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


def _lineage(
    model_registry: Registry, settings: Settings, proposed: ModelVersion, serving: ModelVersion | None
) -> Iterator[str]:
    versions = [proposed] if serving is None else [proposed, serving]
    facts = [_facts(model_registry, version) for version in versions]
    names = list(dict.fromkeys(name for each in facts for name in each))
    yield from table(
        f"|  | {' | '.join(f'version {version.version}' for version in versions)} |",
        ((name, *(code(each[name][:_MOST_CHARACTERS]) if name in each else "–" for each in facts)) for name in names),
    )
    yield ""
    for version in versions:
        page = f"{settings.mlflow_url}/#/models/{model_registry.model_name}/versions/{version.version}"
        logged = _logged(model_registry, version)
        run = f", [the run that made it]({logged.url})" if logged else ""
        yield f"- [version {version.version}]({page}){run}"


def _facts(model_registry: Registry, version: ModelVersion) -> Mapping[str, str]:
    """Return tags, parameters and figures of a version, by name."""
    tags, logged = model_registry.tags(version), _logged(model_registry, version)
    facts = {name: tags[f"moderation.{name}"] for name in _TAGS if f"moderation.{name}" in tags}
    if logged is None:
        return facts
    figures = {name: f"{value:.6g}" for name, value in sorted(logged.metrics.items())}
    return {**facts, **dict(sorted(logged.params.items())), **figures}


def _logged(model_registry: Registry, version: ModelVersion) -> Logged | None:
    try:
        return model_registry.run_artifacts.logged(version.run_id) if version.run_id else None
    except NotInRegistry:  # the run was deleted in MLflow
        return None
