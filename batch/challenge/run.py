"""Compare the challenger with production on the lake's newest hours; store the result in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from batch.challenge.comparison import ModelComparison, ModelScores, compare
from batch.challenge.markdown import render
from batch.challenge.plot import draw
from batch.labelled_examples import LabelledExamples, read_examples, without_failing
from batch.nothing_done import NothingDone
from batch.progress import OnProgress, no_progress
from batch.run_interval import Interval, resolve_interval
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.lake.reader import opened_lake
from moderation.adapters.registry.registry import CHALLENGER, PRODUCTION, Registry
from moderation.adapters.registry.run_artifacts import StoredRun
from moderation.bootstrap import registry, version_opener
from moderation.contracts import Comment
from moderation.errors import NotInRegistry
from moderation.settings import Settings
from moderation.timestamps import DAY_US, HOUR_US

COMPARISON_JSON, COMPARISON_PAGE, COMPARISON_PLOT = "comparison.json", "comparison.md", "comparison.png"
DEFAULT_HOURS = 24


@dataclass(frozen=True, slots=True)
class StoredComparison:
    """A comparison that is stored in MLflow.

    Attributes:
        fields: of ``comparison.json``; they contain excerpts of comments, which must not be logged.
        url: of its run in the MLflow UI.
        is_new: False if the same comparison was stored before.
    """

    fields: Mapping[str, Any]
    url: str
    is_new: bool

    def figures(self) -> dict[str, Any]:
        """Return all fields except those that contain excerpts of comments."""
        figures = {name: value for name, value in self.fields.items() if name != "most_different"}
        return {**figures, "url": self.url, "is_new": self.is_new}


def compare_challenger(
    settings: Settings,
    params: Mapping[str, object] | None = None,
    *,
    most: int = 200_000,
    on_progress: OnProgress = no_progress,
) -> StoredComparison | NothingDone:
    """Compare the versions with the aliases ``challenger`` and ``production``. Safe to repeat.

    Comments come only from the lake. The same versions are compared on the same files and interval only once.

    Args:
        settings: where lake, manifest and registry are.
        params: ``hours``, the number of newest hours of event time in the lake, 24 if absent; or an interval, see
            :func:`batch.run_interval.resolve_interval`.
        most: maximum number of comments; of more, the same random sample is taken each time.
        on_progress: receives one line at each step.

    Raises:
        ModelRefused: one of the two does not verify.
        LakeDamaged: a file is missing or not what was written.
        ConfigurationError: the parameters name no interval, or a server is not configured.
        RegistryUnavailable: MLflow does not answer.
    """
    model_registry = registry(settings)
    try:
        challenger, production = model_registry.resolve(CHALLENGER), model_registry.resolve(PRODUCTION)
    except NotInRegistry as error:
        return NothingDone(f"an alias names a version that the registry does not have: {error}")
    if challenger is None:
        return NothingDone("no version has the alias challenger")
    if production is None:
        return NothingDone("no version has the alias production")
    if challenger.version == production.version:
        return NothingDone(f"version {challenger.version} is challenger and production")
    interval = _interval(settings, params or {})
    if interval is None:
        return NothingDone("the lake contains no comment")
    # As batch.labelled_examples.read_comments does, but with the number of records that a sample represents.
    examples_read = read_examples(settings, interval, maturity_us=-1, most=most, on_progress=on_progress)
    if not examples_read.examples:
        return NothingDone("the lake contains no comment of that interval")
    tags = {
        "challenger": challenger.version,
        "production": production.version,
        "manifest_digest": examples_read.manifest_digest,
        "window": f"{interval.start_us}-{interval.end_us}",
        "comments": str(len(examples_read.examples)),
    }
    if (stored := model_registry.run_artifacts.newest("comparison", tags)) is not None:
        return StoredComparison(comparison_of(model_registry, stored), stored.url, False)
    open_version = version_opener(settings)
    opened = {version: open_version(version) for version in (challenger.version, production.version)}

    def score(texts: Sequence[str]) -> list[ModelScores]:
        return [ModelScores(version, each.policy, each.kernel.score_many(texts)) for version, each in opened.items()]

    examples = examples_read.examples
    on_progress(f"versions {challenger.version} and {production.version} score {len(examples):,} comments")
    try:
        ours, theirs = score([each.comment.body for each in examples])
    except Exception as error:
        # A record at which one version fails is left out for both.
        examples, _ = without_failing(examples, score, error, on_progress)
        ours, theirs = score([each.comment.body for each in examples])
    if any(each.repairs for each in examples):
        repairs = [each.repairs for each in examples]
        ours, theirs = replace(ours, repairs=repairs), replace(theirs, repairs=repairs)
    comments = [each.comment for each in examples]
    comparison = compare(
        comments, ours, theirs, _days(comments, interval), examples_read.counts["records"] / len(examples_read.examples)
    )
    fields = fields_of(comparison, ours, theirs, interval, examples_read)
    finding = _store(model_registry, fields, draw(ours, theirs), tags)
    return StoredComparison(fields, finding.url, True)


def comparison_of(model_registry: Registry, finding: StoredRun) -> dict[str, Any]:
    """Read the fields of a stored comparison."""
    fields = model_registry.run_artifacts.read_json(finding.run_id, COMPARISON_JSON)
    assert isinstance(fields, dict)  # noqa: S101 - it was written below
    return fields


def newest_comparison(model_registry: Registry, challenger: str, production: str) -> StoredRun | None:
    """Find the newest comparison of exactly these versions; None if there is none."""
    return model_registry.run_artifacts.newest("comparison", {"challenger": challenger, "production": production})


def fields_of(
    comparison: ModelComparison,
    challenger: ModelScores,
    production: ModelScores,
    interval: Interval,
    examples_read: LabelledExamples,
) -> dict[str, Any]:
    """Return the JSON fields: both models, interval, counts, and the fields of ``ModelComparison``."""
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
        "start_us": interval.start_us,
        "end_us": interval.end_us,
        "records": examples_read.counts["records"],
        "manifest_digest": examples_read.manifest_digest,
        **asdict(comparison),
    }
    plain: dict[str, Any] = json.loads(json.dumps(fields))
    return plain


def _interval(settings: Settings, params: Mapping[str, object]) -> Interval | None:
    if any(params.get(name) for name in ("day", "start", "end")):
        return resolve_interval(params)
    hours = int(str(params.get("hours") or DEFAULT_HOURS))
    with opened_lake(settings) as lake:
        newest_us = lake.newest_event_us(COMMENTS.name)
    return None if newest_us is None else Interval(newest_us + 1 - hours * HOUR_US, newest_us + 1)


def _days(comments: list[Comment], interval: Interval) -> float:
    # A lake younger than the interval has no comments of its beginning. At least an hour counts, so that a burst is not
    # taken for the rate of a day.
    first_us = max(interval.start_us, min(comment.event_time_us for comment in comments))
    return max(interval.end_us - first_us, HOUR_US) / DAY_US


def _store(model_registry: Registry, fields: Mapping[str, Any], plot: bytes, tags: Mapping[str, str]) -> StoredRun:
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
        COMPARISON_PLOT: plot,
    }
    name = f"challenger {tags['challenger']} beside production {tags['production']}"
    return model_registry.run_artifacts.keep("comparison", name, files, tags=tags, metrics=metrics)
