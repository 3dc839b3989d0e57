"""What is put before a person who is asked to promote a version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from batch.challenge.markdown import render
from batch.challenge.run import COMPARISON_PAGE, comparison_of, newest_comparison
from batch.markdown import code, table
from moderation.adapters.registry import ModelVersion, NotInRegistry, Registry
from moderation.adapters.registry.registry import CHALLENGER, GATE_REASONS_TAG, GATE_TAG, PREVIOUS, PRODUCTION
from moderation.adapters.registry.run_artifacts import Logged
from moderation.bootstrap import registry
from moderation.errors import ConfigurationError
from moderation.settings import Settings

GATE_PAGE = "gate.md"
"""Artifact of a version's run: what the gate found, for people."""
_SHOWN_DIFFERENT = 10
_TAGS = ("reason", "kernel_version", "policy_version", "data_digest", "model_digest")
_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Proposal:
    """A promotion as a person is asked about it.

    Attributes:
        version: the number of the version that is to serve.
        card_digest: SHA-256 of its card, hexadecimal.
        is_challenger: whether it was asked for by the alias ``challenger``.
        replaces: the number of the version that serves; None if none does.
        text: markdown; it holds excerpts of comments, which belong in no log.
    """

    version: str
    card_digest: str
    is_challenger: bool
    replaces: str | None
    text: str


def propose(settings: Settings, version: str = CHALLENGER) -> Proposal:
    """Write what a person needs to decide: gate, comparison with production, lineage, links.

    Args:
        settings: where the registry is.
        version: a number, or ``challenger`` for whatever has that alias.

    Raises:
        NotInRegistry: there is no such version.
        ModelRefused: it is not certified.
        ConfigurationError: it serves already.
        RegistryUnavailable: MLflow does not answer.
    """
    known = registry(settings)
    asked = find_version(known, version)
    known.certificate(asked.version)
    serving = known.resolve(PRODUCTION)
    if serving is not None and serving.version == asked.version:
        raise ConfigurationError(str(asked), f"it has the alias {PRODUCTION} already", "Name another version.")
    text = "\n".join(_text(known, settings, asked, serving))
    return Proposal(asked.version, asked.card_digest, version == CHALLENGER, serving.version if serving else None, text)


def find_version(known: Registry, version: str) -> ModelVersion:
    """A version by its number, or the one with the alias ``challenger``.

    Raises:
        NotInRegistry: there is no such version.
    """
    if version != CHALLENGER:
        return known.version(version)
    found = known.resolve(CHALLENGER)
    if found is None:
        raise NotInRegistry(
            f"alias {CHALLENGER} of {known.model_name}",
            "no version has it",
            "Retrain until one passes the gate, or name a version by its number.",
        )
    return found


def _text(known: Registry, settings: Settings, asked: ModelVersion, serving: ModelVersion | None) -> Iterator[str]:
    if serving is None:
        yield f"**Version {asked.version}** of {code(known.model_name)} is to serve. No version serves now.\n"
    else:
        yield (
            f"**Version {asked.version}** of {code(known.model_name)} is to replace version {serving.version}, "
            f"which becomes `{PREVIOUS}`. Workers take it within seconds; DAG `rollback_model` undoes it.\n"
        )
    yield "## The gate\n"
    yield from _gate(known, asked)
    yield "\n## Beside production, on the same comments\n"
    yield from _comparison(known, asked, serving)
    yield "\n## Where it comes from\n"
    yield from _lineage(known, settings, asked, serving)


def _gate(known: Registry, asked: ModelVersion) -> Iterator[str]:
    tags = known.tags(asked)
    found = tags.get(GATE_TAG)
    if found == "passed":
        yield "It **passed**."
    elif found is None:
        yield "**The gate has not judged it**: nobody knows whether it is better than what serves."
    else:
        yield f"It **{found}**: {code(tags.get(GATE_REASONS_TAG, 'no reasons were kept'))}"
    if asked.run_id:
        try:
            page = known.evidence.read(asked.run_id, GATE_PAGE).decode()
            yield "\n" + (f"##{page}" if page.startswith("# ") else page)
        except NotInRegistry:
            yield f"\nIts run has no `{GATE_PAGE}`."


def _comparison(known: Registry, asked: ModelVersion, serving: ModelVersion | None) -> Iterator[str]:
    if serving is None:
        yield "There is nothing to compare it with."
        return
    found = newest_comparison(known, asked.version, serving.version)
    if found is None:
        yield f"**They were not compared.** Give version {asked.version} the alias `{CHALLENGER}` and run"
        yield "DAG `compare_challenger`."
        return
    yield render(comparison_of(known, found), most_different=_SHOWN_DIFFERENT)
    yield f"All of it, with pictures: [{COMPARISON_PAGE}]({found.url}/artifacts/{COMPARISON_PAGE})."


def _lineage(known: Registry, settings: Settings, asked: ModelVersion, serving: ModelVersion | None) -> Iterator[str]:
    versions = [asked] if serving is None else [asked, serving]
    facts = [_facts(known, version) for version in versions]
    names = list(dict.fromkeys(name for each in facts for name in each))
    yield from table(
        f"|  | {' | '.join(f'version {version.version}' for version in versions)} |",
        ((name, *(code(each[name][:_MOST_CHARACTERS]) if name in each else "–" for each in facts)) for name in names),
    )
    yield ""
    for version in versions:
        page = f"{settings.mlflow_url}/#/models/{known.model_name}/versions/{version.version}"
        logged = _logged(known, version)
        run = f", [the run that made it]({logged.url})" if logged else ""
        yield f"- [version {version.version}]({page}){run}"


def _facts(known: Registry, version: ModelVersion) -> Mapping[str, str]:
    """What is known of a version: tags, parameters, figures; by name."""
    tags, logged = known.tags(version), _logged(known, version)
    facts = {name: tags[f"moderation.{name}"] for name in _TAGS if f"moderation.{name}" in tags}
    if logged is None:
        return facts
    figures = {name: f"{value:.6g}" for name, value in sorted(logged.metrics.items())}
    return {**facts, **dict(sorted(logged.params.items())), **figures}


def _logged(known: Registry, version: ModelVersion) -> Logged | None:
    try:
        return known.evidence.logged(version.run_id) if version.run_id else None
    except NotInRegistry:  # a person deleted the run
        return None
