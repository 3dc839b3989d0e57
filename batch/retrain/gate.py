"""The gate: compare a new version with production on the newest comments; certify it if it passes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from batch.labelled_examples import Example, LabelledExamples, without_failing
from batch.markdown import code, table
from batch.progress import OnProgress, no_progress
from batch.retrain.newest import (
    all_of_newest_time,
    gate_time,
    newest_of,
    production_training,
    without_production_training,
)
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.model_folder.folder import OpenModel, open_model
from moderation.adapters.reconciliation.runs import NIGHT_HOURS, recent_defects
from moderation.adapters.registry import GateEvidence
from moderation.adapters.sql.connection import connected
from moderation.bootstrap import new_lexicon, registry
from moderation.contracts import at_least_review
from moderation.policy import Lowering
from moderation.settings import Settings, required
from moderation.timestamps import DAY_US, now_us
from moderation.training.gate import EvaluationSet, GateLimits, GateState, Judgement, ModelScores, Workload, judge

REPORT, TABLE = "gate.json", "gate.md"
"""Artifacts of the version's run."""


@dataclass(frozen=True, slots=True)
class GateReport:
    """Result of the gate.

    Attributes:
        version: the new version.
        production: the version it was compared with; None if there was none.
        is_passed: whether it passed; then it is certified and has the alias ``challenger``.
        reasons: why it did not pass.
        figures, intervals: see :class:`moderation.training.gate.Judgement`.
        state: ``passed``, ``stopped`` or ``too few comments``.
        needed_comments: how many newest comments would decide; None if there are enough.
        left_out: number of newest comments that production might know, by reason.
        notes: what is unknown of production's training data, or worth knowing.
        goals: ``stated``: the stated goals; ``origin``: where they were stated; ``lowered``: goals that were lowered or
            dropped, with the cause.
        bootstrap: the bootstrap version that is in production, with which nothing is compared; None if it is not.
    """

    version: str
    production: str | None
    is_passed: bool
    reasons: Sequence[str]
    figures: Mapping[str, float]
    intervals: Mapping[str, Mapping[str, float]]
    state: GateState = "stopped"
    needed_comments: int | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    goals: Mapping[str, Any] = field(default_factory=dict)
    bootstrap: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation retrain``. Sequences are lists: Airflow stores a tuple otherwise."""
        return {**asdict(self), "reasons": list(self.reasons), "notes": list(self.notes)}


def gate(
    settings: Settings,
    number: str,
    *,
    limits: GateLimits | None = None,
    on_progress: OnProgress = no_progress,
    now: datetime | None = None,
) -> GateReport:
    """Test a version. If it passes, certify it and give it the alias ``challenger``; else take that alias from it.

    In both cases the version's tags contain the result, and its run gets ``gate.json`` and ``gate.md``. Safe to repeat.

    Args:
        settings: where lake, ledger and registry are.
        number: of a registered version. One that was trained on a file is compared on the newest comments of the lake.
        limits: default limits if None.
        on_progress: receives one line at each step.
        now: determines which labels are mature, for a version that was trained on a file; the present time if None.

    Raises:
        ModelRefused: the version or production does not verify.
        LakeDamaged: a file is missing or not what was written.
        RegistryUnavailable: MLflow does not answer.
    """
    model_registry, lexicon = registry(settings), new_lexicon(settings)
    version = model_registry.version(number)
    challenger = open_model(
        model_registry.fetch(version, settings.state_folder / "models", settings.model_max_bytes),
        lexicon,
        settings.model_max_bytes,
    )
    card = challenger.card["training"]
    time = gate_time(card, now or datetime.now(UTC))
    examples = newest_of(settings, model_registry, version, card, time, on_progress)
    serving = model_registry.resolve("production")
    production = training = bootstrap = None
    if serving is not None and model_registry.is_bootstrap(serving):
        bootstrap = serving.version
    elif serving is not None and serving.version != version.version:
        production = model_registry.open_certified(
            serving, lexicon, settings.model_max_bytes, settings.state_folder / "models"
        )
        training = production_training(settings, model_registry, serving, production, on_progress)
    newest = without_production_training(examples, training)
    defects = _last_night_defects(settings)
    on_progress(f"judging version {number} on {len(newest.examples):,} comments")
    lowered = [Lowering(**each) for each in card.get("goals_lowered", [])]
    work = None
    if production is not None and training is not None:
        everything = all_of_newest_time(settings, time, training, on_progress)
        work = _workload(challenger, production, everything, on_progress)
    judgement = _judgement(challenger, production, newest.examples, work, defects, limits, lowered, on_progress)
    report = GateReport(
        version=version.version,
        production=None if training is None else training.version,
        is_passed=judgement.is_passed,
        reasons=judgement.reasons,
        figures=dict(judgement.figures),
        intervals={name: asdict(interval) for name, interval in judgement.intervals.items()},
        state=judgement.state,
        needed_comments=None if judgement.shortage is None else judgement.shortage.needed,
        left_out=newest.left_out,
        notes=newest.notes,
        goals=_goals(challenger, lowered),
        bootstrap=bootstrap,
    )
    content = {**report.fields(), "limits": asdict(limits or GateLimits())}
    files = {REPORT: json.dumps(content, indent=2, sort_keys=True).encode(), TABLE: gate_table(report).encode()}
    model_registry.run_artifacts.attach(version.run_id, files)
    model_registry.note_gate(version, judgement.state, judgement.reasons)
    if judgement.is_passed:
        evidence = GateEvidence("passed", content["limits"], hashlib.sha256(files[REPORT]).hexdigest(), now_us())
        model_registry.certify(version, lexicon, settings.model_max_bytes, gate=evidence)
        model_registry.give_alias("challenger", version)
    else:  # it may have passed before, with another lake or another night
        model_registry.take_alias("challenger", version)
    for line in [*judgement.reasons] or [f"nothing speaks against version {number}: it is challenger now"]:
        on_progress(line)
    return report


def compared_with(report: GateReport) -> str:
    """Return what the gate compared the version with, e.g. ``version 3``."""
    if report.production is not None:
        return f"version {report.production}"
    if report.bootstrap is not None:
        return f"nothing: version {report.bootstrap}, which it is to replace, is the bootstrap model"
    return "nothing: no version serves"


def gate_table(report: GateReport) -> str:
    """Return the report as Markdown."""
    lines = [f"# The gate: version {report.version} against {compared_with(report)}", ""]
    lines += ["Passed." if report.is_passed else f"**{report.state.capitalize()}:**", ""]
    lines += [f"- {code(reason)}" for reason in report.reasons]
    if report.notes:
        lines += ["", "Compared on:", "", *(f"- {note}" for note in report.notes)]
    if report.goals:
        lines += ["", f"Goals: {code(', '.join(report.goals['stated']))} (from: {report.goals['origin']})"]
        lines += ["", *(f"- {code(lowering)}" for lowering in report.goals["lowered"])]
    figures = [(name.replace("_", " "), f"{value:,.4g}") for name, value in report.figures.items()]
    figures += [(f"left out: {name.replace('_', ' ')}", f"{count:,}") for name, count in report.left_out.items()]
    lines += ["", *table("| figure | value |", figures)]
    if report.intervals:
        intervals = (
            (code(name), f"{each['value']:+.4f}", f"{each['low']:+.4f} to {each['high']:+.4f}")
            for name, each in report.intervals.items()
        )
        lines += ["", *table("| against production | difference or factor | interval |", intervals)]
    return "\n".join(lines) + "\n"


def _goals(model: OpenModel, lowered: Sequence[Lowering]) -> dict[str, Any]:
    training = model.card["training"]
    return {
        "stated": list(training.get("goals_stated", model.policy.goals)),
        "origin": training.get("goals_from", "unknown"),
        "lowered": [str(each) for each in lowered],
    }


def _judgement(
    challenger: OpenModel,
    production: OpenModel | None,
    newest: list[Example],
    work: Workload | None,
    defects: int | None,
    limits: GateLimits | None,
    lowered: Sequence[Lowering],
    on_progress: OnProgress,
) -> Judgement:
    models = [challenger] if production is None else [challenger, production]
    newest, [ours, *others] = _scored(models, newest, on_progress)
    theirs = others[0] if others else None
    evaluation = EvaluationSet(
        removed=np.array([each.removed for each in newest], bool),
        weight=np.array([each.weight for each in newest], np.float64),
        community=np.array([each.comment.community for each in newest], np.str_),
        days=_days(newest),
    )
    seed = int(challenger.card["training"]["seed"])
    return judge(ours, theirs, evaluation, defects, limits, seed=seed, lowered=lowered, workload=work)


def _workload(
    challenger: OpenModel, production: OpenModel, everything: LabelledExamples, on_progress: OnProgress
) -> Workload | None:
    """Score all comments of the time with both models; None if there is none."""
    comments, [ours, theirs] = _scored([challenger, production], everything.examples, on_progress)
    if not comments:
        return None
    # Of more comments than the maximum, a sample was read.
    weight = np.full(len(comments), everything.counts["records"] / len(comments))
    return Workload(ours.verdicts, theirs.verdicts, weight, _days(comments))


def _scored(
    models: Sequence[OpenModel], examples: list[Example], on_progress: OnProgress
) -> tuple[list[Example], list[ModelScores]]:
    """Score comments with each model. A record at which one of them fails is left out for all."""
    try:
        return examples, [_judged(model, examples) for model in models]
    except Exception as error:
        for model in models:
            examples = _scorable(model, examples, error, on_progress)
        return examples, [_judged(model, examples) for model in models]


def _scorable(model: OpenModel, newest: list[Example], error: Exception, on_progress: OnProgress) -> list[Example]:
    """Return the examples that a version can score."""
    try:
        _judged(model, newest)
    except Exception:
        return without_failing(newest, model.kernel.score_many, error, on_progress)[0]
    return newest


def _judged(model: OpenModel, newest: Sequence[Example]) -> ModelScores:
    scores = model.kernel.score_many([each.comment.body for each in newest])
    verdicts = [
        at_least_review(verdict, each.repairs)
        for verdict, each in zip(model.policy.verdicts(scores), newest, strict=True)
    ]
    return ModelScores(np.asarray(scores, np.float64) / 1_000_000, verdicts)


def _days(newest: Sequence[Example]) -> float:
    if not newest:
        return 1.0
    return max(newest[-1].comment.event_time_us - newest[0].comment.event_time_us, 1) / DAY_US


def _last_night_defects(settings: Settings) -> int | None:
    since_us = now_us() - NIGHT_HOURS * 3_600_000_000
    with connected(required(settings.database_url, "database_url")) as connection:
        return recent_defects(connection, settings.topic_prefix + COMMENTS.name, since_us)
