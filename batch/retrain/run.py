"""Retrain once: read the lake, split, train, and register the version with its lineage."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from batch.labelled_examples import Example, read_examples, without_failing
from batch.progress import OnProgress, no_progress
from batch.record_isolation import Failure, failure_fields
from batch.retrain.model_card import model_card
from batch.retrain.options import RetrainOptions
from batch.retrain.split import split_at, split_point
from moderation.bootstrap import TrainReport, new_lexicon, registry, train_to_folder
from moderation.settings import Settings
from moderation.timestamps import DAY_US

RUN_NAME = "retrain"


@dataclass(frozen=True, slots=True)
class RetrainReport:
    """Result of a retraining.

    Attributes:
        version: number of the registered version; it has no certificate and no alias.
        run_id: of the MLflow run.
        model_digest: SHA-256 of the model file; equal for equal manifest, options and seed.
        data_digest: SHA-256 over record ids, labels and weights.
        manifest_digest: SHA-256 over the lake's files that were read.
        start_us, end_us: the interval of event time, half-open.
        split_us: start of the newest comments, which the gate uses.
        counts: records, examples and what was left out.
        metrics: out-of-fold measurements.
        failures: records that cannot be parsed or turned into features because of a defect, by position; they are
            left out.
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

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation retrain``."""
        return {**asdict(self), "failures": failure_fields(self.failures)}


def retrain(
    settings: Settings, options: RetrainOptions, *, started_by: str, on_progress: OnProgress = no_progress
) -> RetrainReport:
    """Retrain on the lake and register the new version.

    Args:
        settings: where lake, manifest and registry are.
        options: of the retraining.
        started_by: who or what started it, e.g. the URL of an Airflow run; stored with the version.
        on_progress: receives one line at each step.

    Raises:
        TrainingError: the interval has too few examples of a class.
        GoalUnmet: no thresholds reach the goals.
        LakeDamaged: a file is missing or not what was written.
        Unavailable: a server does not answer.
        RegistryUnavailable: MLflow does not answer.
    """
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
        "split_us": split.split_us,
        "manifest_digest": examples_read.manifest_digest,
        "code_version": installed_version("comment-moderation"),
    }
    with tempfile.TemporaryDirectory(prefix="moderation-retrain-") as scratch:
        folder = Path(scratch, "model")

        def train(examples: Sequence[Example]) -> TrainReport:
            return train_to_folder(
                ((each.comment, each.removed) for each in examples),
                folder,
                options.goals,
                settings,
                folds=options.folds,
                seed=options.seed,
                comments_per_day=counts["records"] / (options.interval.end_us - options.interval.start_us) * DAY_US,
                weights=[each.weight for each in examples],
                family=options.family,
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
        )
        card = model_card(version.version, options, lineage, counts, trained, started_by)
        model_registry.run_artifacts.attach(version.run_id, {"model_card.md": card.encode()})
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
    )
