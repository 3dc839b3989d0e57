"""Retrain once: read the lake, split, train, and register the version with its lineage."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from batch.labelled_examples import Example, read_examples, without_failing
from batch.progress import OnProgress, no_progress
from batch.record_isolation import Failure, failure_fields
from batch.retrain.inheritance import choose, read_production
from batch.retrain.model_card import NO_EXPLORATION, exploration_text, model_card
from batch.retrain.options import RetrainOptions
from batch.retrain.split import split_at, split_point
from moderation.adapters.code_version import code_version
from moderation.adapters.registry.registry import GOALS_LOWERED_TAG
from moderation.bootstrap import new_lexicon, registry, train_to_folder
from moderation.settings import Settings
from moderation.timestamps import DAY_US
from moderation.training.outcome import TrainReport

RUN_NAME = "retrain"


@dataclass(frozen=True, slots=True)
class RetrainReport:
    """Result of a retraining.

    Attributes:
        version: number of the registered version; it has no certificate and no alias.
        run_id: of the MLflow run.
        model_digest: SHA-256 of the model file; equal for equal manifest, verdicts, options and seed.
        data_digest: SHA-256 over record ids, labels and weights.
        manifest_digest: SHA-256 over the lake's files that were read.
        exploration: what the policy explores, or why it explores nothing.
        verdicts_digest: SHA-256 over the verdicts that labels depend on; None if they depend on none.
        start_us, end_us: the interval of event time, half-open.
        split_us: start of the newest comments, which the gate uses.
        counts: records, examples and what was left out.
        metrics: out-of-fold measurements.
        failures: records that cannot be parsed or turned into features because of a defect, by position; they are
            left out.
        goals: the goals that the policy meets.
        goals_stated: the goals that were stated.
        goals_lowered: each stated goal that was lowered or dropped, with the cause.
        origins: where ``goals``, ``family``, ``explore_removals`` and ``explore_allowed`` were stated.
        ignored: what messages stated without effect, each with the cause.
    """

    version: str
    run_id: str
    model_digest: str
    data_digest: str
    manifest_digest: str
    start_us: int
    end_us: int
    split_us: int
    counts: Mapping[str, int]
    metrics: Mapping[str, Any]
    failures: Sequence[Failure] = ()
    goals: Sequence[str] = ()
    goals_stated: Sequence[str] = ()
    goals_lowered: Sequence[str] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    ignored: Sequence[str] = ()
    verdicts_digest: str | None = None
    exploration: str = NO_EXPLORATION

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation retrain``."""
        return {**asdict(self), "failures": failure_fields(self.failures)}


def retrain(
    settings: Settings, options: RetrainOptions, *, started_by: str, on_progress: OnProgress = no_progress
) -> RetrainReport:
    """Retrain on the lake and register the new version.

    Goals, family and shares of exploration that are not stated are those of production. A goal that the comments
    cannot meet is replaced by the nearest one that they can, and named; the gate decides whether that is acceptable.

    Args:
        settings: where lake, manifest and registry are.
        options: of the retraining.
        started_by: who or what started it, e.g. the URL of an Airflow run; stored with the version.
        on_progress: receives one line at each step.

    Raises:
        TrainingError: the interval has too few examples of a class.
        ModelRefused: production does not verify.
        LakeDamaged: a file is missing or not what was written.
        Unavailable: a server does not answer.
        RegistryUnavailable: MLflow does not answer.
    """
    choice = choose(options, lambda: read_production(settings))
    on_progress(f"goals {', '.join(map(str, choice.goals))} (from: {choice.goals_from})")
    examples_read = read_examples(
        settings,
        options.interval,
        maturity_us=options.maturity_us,
        no_action=options.no_action,
        most=options.most,
        on_progress=on_progress,
    )
    split = split_at(examples_read.examples, split_point(examples_read.examples, options.newest_share))
    training, failures = split.training, examples_read.failures
    counts = {**examples_read.counts, **split.left_out, "training": len(training), "newest": len(split.newest)}
    on_progress(f"{len(training):,} comments to train on, {len(split.newest):,} newer ones for the gate")
    lineage = {
        **options.lineage(),
        **choice.lineage(),
        "split_us": split.split_us,
        "manifest_digest": examples_read.manifest_digest,
        "verdicts_digest": examples_read.verdicts_digest,
        "code_version": code_version(),
    }
    with tempfile.TemporaryDirectory(prefix="moderation-retrain-") as scratch:
        folder = Path(scratch, "model")

        def train(examples: Sequence[Example]) -> TrainReport:
            return train_to_folder(
                ((each.comment, each.removed) for each in examples),
                folder,
                choice.goals,
                settings,
                folds=options.folds,
                seed=options.seed,
                comments_per_day=counts["records"] / (options.interval.end_us - options.interval.start_us) * DAY_US,
                weights=[each.weight for each in examples],
                family=choice.family,
                lower_goals=True,
                exploration=choice.exploration,
                lineage=lineage,
                on_progress=on_progress,
            )

        try:
            trained = train(training)
        except Exception as error:
            training, failing = without_failing(training, new_lexicon(settings).encode, error, on_progress)
            failures = sorted([*failures, *failing])
            counts |= {"failed": len(failures), "training": len(training)}
            on_progress("training again without them")
            trained = train(training)
        on_progress("registering")
        model_registry = registry(settings)
        version = model_registry.register(
            folder,
            new_lexicon(settings),
            settings.model_max_bytes,
            run_name=RUN_NAME,
            reason=options.reason,
            params={"started_by": started_by, **{k: str(v) for k, v in counts.items()}},
            lake_url=settings.lake_url,
        )
        card = model_card(version.version, options, choice, lineage, counts, trained, started_by)
        model_registry.run_artifacts.attach(version.run_id, {"model_card.md": card.encode()})
        lowered = [str(each) for each in trained.lowered]
        if lowered:
            model_registry.tag(version, GOALS_LOWERED_TAG, "; ".join(lowered))
    explored = exploration_text(trained.policy, choice.exploration)
    for line in [*lowered, f"exploration: {explored}"]:
        on_progress(line)
    on_progress(f"registered as version {version.version}, model digest {trained.model_digest}")
    return RetrainReport(
        version=version.version,
        run_id=version.run_id,
        model_digest=trained.model_digest,
        data_digest=trained.data_digest,
        manifest_digest=examples_read.manifest_digest,
        start_us=options.interval.start_us,
        end_us=options.interval.end_us,
        split_us=split.split_us,
        counts=counts,
        metrics=asdict(trained.metrics),
        failures=failures,
        goals=trained.policy.goals,
        goals_stated=[str(goal) for goal in choice.goals],
        goals_lowered=lowered,
        origins=choice.origins(),
        ignored=options.ignored,
        verdicts_digest=examples_read.verdicts_digest,
        exploration=explored,
    )
