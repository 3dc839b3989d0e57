"""Compare the challenger with production on the lake's newest hours, and keep what came of it in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from batch.challenge.comparison import ModelComparison, ModelScores, compare
from batch.challenge.markdown import render
from batch.challenge.plot import draw
from batch.labelled_examples import LabelledExamples, read_examples, without_failing
from batch.progress import OnProgress, no_progress
from batch.run_interval import Interval, resolve_interval
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.lake.reader import opened_lake
from moderation.adapters.registry.registry import CHALLENGER, PRODUCTION, Registry
from moderation.adapters.registry.run_artifacts import Finding
from moderation.bootstrap import registry, version_opener
from moderation.contracts import Comment
from moderation.settings import Settings

COMPARISON_JSON, COMPARISON_PAGE, COMPARISON_PICTURE = "comparison.json", "comparison.md", "comparison.png"
DEFAULT_HOURS = 24
_HOUR_US, _DAY_US = 3_600_000_000, 86_400_000_000


@dataclass(frozen=True, slots=True)
class StoredComparison:
    """What a comparison found.

    Attributes:
        fields: of ``comparison.json``; they hold excerpts of comments, which belong in no log.
        url: of its run in the MLflow UI.
        is_new: False if the same comparison was kept before.
    """

    fields: Mapping[str, Any]
    url: str
    is_new: bool

    def figures(self) -> dict[str, Any]:
        """Everything but what people wrote."""
        figures = {name: value for name, value in self.fields.items() if name != "most_different"}
        return {**figures, "url": self.url, "is_new": self.is_new}


@dataclass(frozen=True, slots=True)
class NothingToCompare:
    """Why nothing was compared."""

    reason: str


def compare_challenger(
    settings: Settings,
    params: Mapping[str, object] | None = None,
    *,
    most: int = 200_000,
    on_progress: OnProgress = no_progress,
) -> StoredComparison | NothingToCompare:
    """Compare the versions with the aliases ``challenger`` and ``production``. Safe to repeat.

    Only the lake is read. The same versions on the same files and window are compared once.

    Args:
        settings: where lake, manifest and registry are.
        params: ``hours``, so many newest ones of event time that the lake has, 24 if absent; or a window, see
            :func:`batch.run_interval.resolve_interval`.
        most: comments at most, a sample by chance that is the same each time.
        on_progress: receives one line at each step.

    Raises:
        ModelRefused: one of the two does not verify.
        LakeDamaged: a file is missing or not what was written.
        ConfigurationError: parameters name no window, or a server is not configured.
        RegistryUnavailable: MLflow does not answer.
    """
    known = registry(settings)
    challenger, production = known.resolve(CHALLENGER), known.resolve(PRODUCTION)
    if challenger is None:
        return NothingToCompare("no version has the alias challenger")
    if production is None:
        return NothingToCompare("no version has the alias production")
    if challenger.version == production.version:
        return NothingToCompare(f"version {challenger.version} is challenger and production")
    window = _window(settings, params or {})
    if window is None:
        return NothingToCompare("the lake holds no comment")
    # As batch.examples.read_comments does, but with the number of records that a sample stands for.
    found = read_examples(settings, window, maturity_us=-1, most=most, on_progress=on_progress)
    if not found.examples:
        return NothingToCompare("the lake holds no comment of that time")
    tags = {
        "challenger": challenger.version,
        "production": production.version,
        "manifest_digest": found.manifest_digest,
        "window": f"{window.start_us}-{window.end_us}",
        "comments": str(len(found.examples)),
    }
    if (before := known.evidence.newest("comparison", tags)) is not None:
        return StoredComparison(comparison_of(known, before), before.url, False)
    open_version = version_opener(settings)
    opened = {version: open_version(version) for version in (challenger.version, production.version)}

    def score(texts: Sequence[str]) -> list[ModelScores]:
        return [ModelScores(version, each.policy, each.kernel.score_many(texts)) for version, each in opened.items()]

    examples = found.examples
    on_progress(f"versions {challenger.version} and {production.version} score {len(examples):,} comments")
    try:
        ours, theirs = score([each.comment.body for each in examples])
    except Exception as error:
        # A record at which either version fails is compared by neither.
        examples, _ = without_failing(examples, score, error, on_progress)
        ours, theirs = score([each.comment.body for each in examples])
    if any(each.repairs for each in examples):
        repairs = [each.repairs for each in examples]
        ours, theirs = replace(ours, repairs=repairs), replace(theirs, repairs=repairs)
    comments = [each.comment for each in examples]
    comparison = compare(comments, ours, theirs, _days(comments, window), found.counts["records"] / len(found.examples))
    fields = fields_of(comparison, ours, theirs, window, found)
    kept = _keep(known, fields, draw(ours, theirs), tags)
    return StoredComparison(fields, kept.url, True)


def comparison_of(known: Registry, finding: Finding) -> dict[str, Any]:
    """The fields of a comparison that was kept."""
    fields = known.evidence.read_json(finding.run_id, COMPARISON_JSON)
    assert isinstance(fields, dict)  # noqa: S101 - it was written below
    return fields


def newest_comparison(known: Registry, challenger: str, production: str) -> Finding | None:
    """The newest comparison of exactly these versions; None if there is none."""
    return known.evidence.newest("comparison", {"challenger": challenger, "production": production})


def fields_of(
    comparison: ModelComparison,
    challenger: ModelScores,
    production: ModelScores,
    window: Interval,
    found: LabelledExamples,
) -> dict[str, Any]:
    """A comparison as JSON holds it: both models, the window, what was read, and the fields of ``ModelComparison``."""
    models = {
        name: {
            "version": scored.version,
            "policy_version": scored.policy.policy_version,
            "review_ppm": scored.policy.review_ppm,
            "remove_ppm": scored.policy.remove_ppm,
        }
        for name, scored in (("challenger", challenger), ("production", production))
    }
    fields = {
        "models": models,
        "start_us": window.start_us,
        "end_us": window.end_us,
        "records": found.counts["records"],
        "manifest_digest": found.manifest_digest,
        **asdict(comparison),
    }
    plain: dict[str, Any] = json.loads(json.dumps(fields))
    return plain


def _window(settings: Settings, params: Mapping[str, object]) -> Interval | None:
    if any(params.get(name) for name in ("day", "start", "end")):
        return resolve_interval(params)
    hours = int(str(params.get("hours") or DEFAULT_HOURS))
    with opened_lake(settings) as lake:
        newest_us = lake.newest_event_us(COMMENTS.name)
    return None if newest_us is None else Interval(newest_us + 1 - hours * _HOUR_US, newest_us + 1)


def _days(comments: list[Comment], window: Interval) -> float:
    # A lake younger than its window has nothing of the beginning; an hour at least, or a burst would be a day's rate.
    first_us = max(window.start_us, min(comment.event_time_us for comment in comments))
    return max(window.end_us - first_us, _HOUR_US) / _DAY_US


def _keep(known: Registry, fields: Mapping[str, Any], picture: bytes, tags: Mapping[str, str]) -> Finding:
    overall = fields["overall"]
    metrics = {
        "comments": overall["comments"],
        "disagreement": overall["disagreement"]["value"],
        "disagreement_low": overall["disagreement"]["low"],
        "disagreement_high": overall["disagreement"]["high"],
        "score_shift_ppm": overall["score_shift_ppm"],
        **{f"{who}_{name}": overall[who][name] for who in ("challenger", "production") for name in overall[who]},
    }
    files = {
        COMPARISON_JSON: (json.dumps(fields, indent=2, ensure_ascii=False) + "\n").encode(),
        COMPARISON_PAGE: render(fields, most_different=len(fields["most_different"])).encode(),
        COMPARISON_PICTURE: picture,
    }
    name = f"challenger {tags['challenger']} beside production {tags['production']}"
    return known.evidence.keep("comparison", name, files, tags=tags, metrics=metrics)
