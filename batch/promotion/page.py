"""The page that an approver sees, as Markdown. What users wrote is shown as code, so that it cannot become markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batch.markdown import code, table
from batch.promotion.eligibility import Refusal
from moderation.adapters.registry.certificate import BOOTSTRAP, GATE_VERDICT_TAG
from moderation.adapters.registry.registry import GATE_REASONS_TAG, GATE_TAG, PREVIOUS

_TAGS = ("reason", "kernel_version", "policy_version", "data_digest", "model_digest")
_GOALS = ("goals", "goals_stated", "goals_from")
_MOST_CHARACTERS = 200
_MOST_REASONS = 20


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """A version as the registry knows it.

    Attributes:
        version: its number.
        page: URL of the version in the MLflow UI.
        run: URL of the run that made it; empty if the run was deleted.
        tags: of the version.
        params, metrics: of the run.
    """

    version: str
    page: str
    run: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def gate(self) -> str | None:
        """Result of the gate's newest run, e.g. ``passed``; None if it has not judged the version."""
        return self.tags.get(GATE_TAG)

    @property
    def is_bootstrap(self) -> bool:
        """Whether it is the bootstrap model, by its tag."""
        return self.verdict == BOOTSTRAP

    @property
    def verdict(self) -> str | None:
        """Verdict that the certificate states; None without certificate."""
        return self.tags.get(GATE_VERDICT_TAG)


def opening(
    model_name: str, proposed: VersionFacts, serving: VersionFacts | None, refusal: Refusal | None = None
) -> Iterator[str]:
    """Yield why the version may not be promoted, if so, then what the approval would do."""
    number = proposed.version
    if refusal is not None:
        yield "## Refused\n"
        yield f"**Version {number} cannot be promoted**: {code(refusal.cause)}. {refusal.remedy}\n"
    if serving is None:
        yield f"**Version {number}** of {code(model_name)} is to serve. No version serves now.\n"
    else:
        if serving.is_bootstrap:
            yield f"Version {serving.version} is the **bootstrap model**: it was trained on nothing, gives every text"
            yield "the same score and removes nothing. The gate did not compare with it.\n"
        yield (
            f"**Version {number}** of {code(model_name)} is to replace version {serving.version}, "
            f"which becomes `{PREVIOUS}`. Workers take it within seconds; DAG `rollback_model` undoes it.\n"
        )


def gate_lines(proposed: VersionFacts, content: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield result, workload, limits and figures of the gate.

    Args:
        proposed: the version.
        content: of ``gate.json``; None if the run has none.
    """
    if proposed.gate == "passed":
        yield "It **passed**."
    elif proposed.gate is None and proposed.verdict is not None:
        yield f"It has not compared the version. Its certificate states the verdict {code(proposed.verdict)}."
    elif proposed.gate is None:
        yield "It has not judged the version."
    elif content is None:
        yield f"It **{_state(proposed.gate)}**: {code(proposed.tags.get(GATE_REASONS_TAG, 'no reasons were kept'))}"
    else:
        yield f"It **{_state(proposed.gate)}**:\n"
        reasons: Sequence[str] = content.get("reasons", ())
        yield from (f"- {code(str(reason))}" for reason in reasons[:_MOST_REASONS])
        if len(reasons) > _MOST_REASONS:
            yield f"- {len(reasons) - _MOST_REASONS} more"
    if content is None:
        yield "\nIts run has no `gate.json`, so its limits and figures are not known."
        return
    figures, intervals = dict(content.get("figures", {})), dict(content.get("intervals", {}))
    yield from _workload(figures, intervals)
    yield "\n### Limits of the gate\n"
    limits = content.get("limits", {})
    yield from table("| limit | value |", ((code(_words(name)), _value(value)) for name, value in limits.items()))
    yield "\n### Measured on the newest comments\n"
    yield from table("| figure | value |", ((code(_words(name)), _value(value)) for name, value in figures.items()))
    if intervals:
        yield ""
        yield from table(
            "| against production | difference or factor | interval |",
            ((code(name), *_interval(each)) for name, each in intervals.items()),
        )


def goal_lines(proposed: VersionFacts, serving: VersionFacts | None) -> Iterator[str]:
    """Yield the goals of both versions, what was stated, and where each goal came from, as far as the runs state it."""
    versions = _versions(proposed, serving)
    names = [name for name in _GOALS if any(name in each.params for each in versions)]
    if not names:
        yield "The runs state no goals."
        return
    titles = {"goals": "goals of the policy", "goals_stated": "stated", "goals_from": "origin"}
    rows = ((titles[name], *(_fact(each.params, name) for each in versions)) for name in names)
    yield from table(_header("goal", versions), rows)


def lineage_lines(proposed: VersionFacts, serving: VersionFacts | None) -> Iterator[str]:
    """Yield tags, parameters and metrics of both versions side by side, and links to both."""
    versions = _versions(proposed, serving)
    facts = [_facts(version) for version in versions]
    names = list(dict.fromkeys(name for each in facts for name in each))
    rows = ((_name(name), *(_fact(each, name) for each in facts)) for name in names)
    yield from table(_header("", versions), rows)
    yield ""
    for version in versions:
        run = f", [the run that made it]({version.run})" if version.run else ""
        yield f"- [version {version.version}]({version.page}){run}"


def _workload(figures: dict[str, float], intervals: dict[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield what each change would do a day; its figures are not repeated below."""
    rows = []
    for what in ("reviews", "removals"):
        names = f"{what}_a_day", f"production_{what}_a_day"
        change = intervals.pop(what, None)
        if all(name in figures for name in names):
            ours, theirs = (figures.pop(name) for name in names)
            factor = f"{change['value']:.2f} times ({change['low']:.2f} to {change['high']:.2f})" if change else "–"
            rows.append((what, f"{theirs:,.0f}", f"{ours:,.0f}", f"{ours - theirs:+,.0f}", factor))
    if rows:
        yield "\n### What it would change a day\n"
        yield from table("| a day | production | this version | difference | factor and interval |", rows)


def _facts(version: VersionFacts) -> Mapping[str, str]:
    tags = {name: version.tags[f"moderation.{name}"] for name in _TAGS if f"moderation.{name}" in version.tags}
    figures = {name: f"{value:.6g}" for name, value in sorted(version.metrics.items())}
    params = {name: value for name, value in sorted(version.params.items()) if name not in _GOALS}
    return {**tags, **params, **figures}


def _fact(facts: Mapping[str, str], name: str) -> str:
    return code(facts[name][:_MOST_CHARACTERS]) if name in facts else "–"


def _versions(proposed: VersionFacts, serving: VersionFacts | None) -> list[VersionFacts]:
    return [proposed] if serving is None else [proposed, serving]


def _header(first: str, versions: Sequence[VersionFacts]) -> str:
    return f"| {first} | {' | '.join(f'version {version.version}' for version in versions)} |"


def _name(name: str) -> str:
    """Return a name of this project as text, and any other name as code."""
    return name if name.isascii() and name.replace("_", "").isalnum() else code(name)


def _state(gate: str) -> str:
    if gate == "too_few":
        return "had too few comments"
    return gate if gate.isascii() and gate.replace(" ", "").isalpha() else code(gate)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, int | float) else code(str(value))


def _interval(interval: Mapping[str, float]) -> tuple[str, str]:
    return f"{interval['value']:+.4f}", f"{interval['low']:+.4f} to {interval['high']:+.4f}"
