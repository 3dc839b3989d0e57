"""The gate: compare a new version with production on the newest comments; certify it if it passes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from batch.labelled_examples import Example, read_examples, without_failing
from batch.markdown import code, table
from batch.progress import OnProgress, no_progress
from batch.retrain.split import split_at
from batch.run_interval import Interval
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.model_folder.folder import OpenModel, open_model
from moderation.adapters.reconciliation.runs import recent_defects
from moderation.adapters.registry import ModelVersion
from moderation.adapters.sql.connection import connected
from moderation.bootstrap import new_lexicon, registry
from moderation.contracts import at_least_review
from moderation.errors import ModelRefused
from moderation.settings import Settings, required
from moderation.timestamps import DAY_US, now_us
from moderation.training.gate import EvaluationSet, GateLimits, ModelScores, judge

REPORT, TABLE = "gate.json", "gate.md"
"""Artifacts of the version's run."""
_NIGHT_HOURS = 48  # an older reconciliation is not that of the last night


@dataclass(frozen=True, slots=True)
class GateReport:
    """Result of the gate.

    Attributes:
        version: the new version.
        production: the version it was compared with; None if there was none.
        is_passed: whether it passed; then it is certified and has the alias ``challenger``.
        reasons: why it did not pass.
        figures, intervals: see :class:`moderation.training.gate.Judgement`.
    """

    version: str
    production: str | None
    is_passed: bool
    reasons: Sequence[str]
    figures: Mapping[str, float]
    intervals: Mapping[str, Mapping[str, float]]

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation retrain``."""
        return asdict(self)


def gate(
    settings: Settings, number: str, *, limits: GateLimits | None = None, on_progress: OnProgress = no_progress
) -> GateReport:
    """Test a version. If it passes, certify it and give it the alias ``challenger``; else take that alias from it.

    In both cases the version's tags contain the result, and its run gets ``gate.json`` and ``gate.md``. Safe to repeat.

    Args:
        settings: where lake, ledger and registry are.
        number: of a version that :func:`batch.retrain.run.retrain` registered.
        limits: default limits if None.
        on_progress: receives one line at each step.

    Raises:
        ModelRefused: the version or production does not verify, or it was not trained on the lake.
        LakeDamaged: a file is missing or not what was written.
        RegistryUnavailable: MLflow does not answer.
    """
    model_registry, lexicon = registry(settings), new_lexicon(settings)
    version = model_registry.version(number)
    challenger = open_model(
        model_registry.fetch(version, settings.state_folder / "models"), lexicon, settings.model_max_bytes
    )
    newest = _newest(settings, version, challenger, on_progress)
    serving = model_registry.resolve("production")
    production = None
    if serving is not None and serving.version != version.version:
        production = model_registry.open_certified(
            serving, lexicon, settings.model_max_bytes, settings.state_folder / "models"
        )
    defects = _last_night_defects(settings)
    on_progress(f"judging version {number} on {len(newest):,} comments")
    try:
        ours, theirs = _judged(challenger, newest), None if production is None else _judged(production, newest)
    except Exception as error:
        # A record at which one version fails is left out for both.
        for model in [challenger] if production is None else [challenger, production]:
            newest = _scorable(model, newest, error, on_progress)
        ours, theirs = _judged(challenger, newest), None if production is None else _judged(production, newest)
    judgement = judge(
        ours,
        theirs,
        EvaluationSet(
            removed=np.array([each.removed for each in newest], bool),
            weight=np.array([each.weight for each in newest], np.float64),
            community=np.array([each.comment.community for each in newest], np.str_),
            days=_days(newest),
        ),
        defects,
        limits,
        seed=int(challenger.card["training"]["seed"]),
    )
    report = GateReport(
        version=version.version,
        production=None if production is None or serving is None else serving.version,
        is_passed=judgement.is_passed,
        reasons=judgement.reasons,
        figures=dict(judgement.figures),
        intervals={name: asdict(interval) for name, interval in judgement.intervals.items()},
    )
    content = {**report.fields(), "limits": asdict(limits or GateLimits())}
    files = {REPORT: json.dumps(content, indent=2, sort_keys=True).encode(), TABLE: gate_table(report).encode()}
    model_registry.run_artifacts.attach(version.run_id, files)
    model_registry.note_gate(version, judgement.reasons)
    if judgement.is_passed:
        model_registry.certify(version, lexicon, settings.model_max_bytes)
        model_registry.give_alias("challenger", version)
    else:  # it may have passed before, with another lake or another night
        model_registry.take_alias("challenger", version)
    for line in [*judgement.reasons] or [f"nothing speaks against version {number}: it is challenger now"]:
        on_progress(line)
    return report


def gate_table(report: GateReport) -> str:
    """Return the report as Markdown."""
    against = f"version {report.production}" if report.production else "nothing: no version serves"
    lines = [f"# The gate: version {report.version} against {against}", ""]
    lines += ["Passed." if report.is_passed else "**Stopped:**", ""]
    lines += [f"- {code(reason)}" for reason in report.reasons]
    figures = ((name.replace("_", " "), f"{value:,.4g}") for name, value in report.figures.items())
    lines += ["", *table("| figure | value |", figures)]
    if report.intervals:
        intervals = (
            (code(name), f"{each['value']:+.4f}", f"{each['low']:+.4f} to {each['high']:+.4f}")
            for name, each in report.intervals.items()
        )
        lines += ["", *table("| against production | difference or factor | interval |", intervals)]
    return "\n".join(lines) + "\n"


def _newest(settings: Settings, version: ModelVersion, model: OpenModel, on_progress: OnProgress) -> list[Example]:
    """Read the comments again that were left out of the version's training for the gate."""
    training = model.card["training"]
    try:
        interval = Interval(training["start_us"], training["end_us"])
        split_us, maturity_us = training["split_us"], training["maturity_us"]
        no_action, most = training["no_action"], training["most"]
    except KeyError as error:
        raise ModelRefused(
            str(version), f"its card has no {error}: it was not trained on the lake", "Retrain it on the lake."
        ) from error
    examples = read_examples(
        settings, interval, maturity_us=maturity_us, no_action=no_action, most=most, on_progress=on_progress
    )
    if examples.manifest_digest != training["manifest_digest"]:
        on_progress("the lake has new records of the interval since the training; the gate uses them too")
    return split_at(examples.examples, split_us).newest


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
    since_us = now_us() - _NIGHT_HOURS * 3_600_000_000
    with connected(required(settings.database_url, "database_url")) as connection:
        return recent_defects(connection, settings.topic_prefix + COMMENTS.name, since_us)
