"""The gate: the newest comments, judged by a new version and by production; what fails stays a registered version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from batch.labelled_examples import Example, read_examples, without_failing
from batch.markdown import table
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
from moderation.training.gate import Judged, Limits, Newest, judge

REPORT, TABLE = "gate.json", "gate.md"
"""Artifacts of the version's run."""
_NIGHT_HOURS = 48  # a reconciliation older than this says nothing about the last night


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate found.

    Attributes:
        version: that was judged.
        production: that it was held against; None when none served.
        is_passed: whether it is certified and ``challenger`` now.
        reasons: all that speaks against it.
        figures, intervals: see :class:`moderation.training.gate.Judgement`.
    """

    version: str
    production: str | None
    is_passed: bool
    reasons: Sequence[str]
    figures: Mapping[str, float]
    intervals: Mapping[str, Mapping[str, float]]

    def fields(self) -> dict[str, Any]:
        """As JSON fields; see ``moderation retrain``."""
        return asdict(self)


def gate(
    settings: Settings, number: str, *, limits: Limits | None = None, on_progress: OnProgress = no_progress
) -> GateReport:
    """Judge a version; certified and ``challenger`` if nothing speaks against it, else without that alias.

    Either way the version's tags say so, and its run holds ``gate.json`` and ``gate.md``. Safe to repeat.

    Args:
        settings: where lake, ledger and registry are.
        number: of a version that :func:`batch.retrain.run.retrain` registered.
        limits: the defaults if None.
        on_progress: receives one line at each step.

    Raises:
        ModelRefused: the version or production does not verify, or it was not trained on the lake.
        LakeDamaged: a file is missing or not what was written.
        RegistryUnavailable: MLflow does not answer.
    """
    found, lexicon = registry(settings), new_lexicon(settings)
    version = found.version(number)
    challenger = open_model(found.fetch(version, settings.state_folder / "models"), lexicon, settings.model_max_bytes)
    newest = _newest(settings, version, challenger, on_progress)
    serving = found.resolve("production")
    production = None
    if serving is not None and serving.version != version.version:
        production = found.open_certified(serving, lexicon, settings.model_max_bytes, settings.state_folder / "models")
    defects = _last_night_defects(settings)
    on_progress(f"judging version {number} on {len(newest):,} comments")
    try:
        ours, theirs = _judged(challenger, newest), None if production is None else _judged(production, newest)
    except Exception as error:
        # A record at which either version fails is judged by neither.
        for model in [challenger] if production is None else [challenger, production]:
            newest = _scorable(model, newest, error, on_progress)
        ours, theirs = _judged(challenger, newest), None if production is None else _judged(production, newest)
    judgement = judge(
        ours,
        theirs,
        Newest(
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
    content = {**report.fields(), "limits": asdict(limits or Limits())}
    files = {REPORT: json.dumps(content, indent=2, sort_keys=True).encode(), TABLE: gate_table(report).encode()}
    found.evidence.attach(version.run_id, files)
    found.note_gate(version, judgement.reasons)
    if judgement.is_passed:
        found.certify(version, lexicon, settings.model_max_bytes)
        found.give_alias("challenger", version)
    else:  # it may have passed before: an earlier judgement, or a night since then, no longer holds
        found.take_alias("challenger", version)
    for line in [*judgement.reasons] or [f"nothing speaks against version {number}: it is challenger now"]:
        on_progress(line)
    return report


def gate_table(report: GateReport) -> str:
    """The report as markdown."""
    against = f"version {report.production}" if report.production else "nothing: no version serves"
    lines = [f"# The gate: version {report.version} against {against}", ""]
    lines += ["Passed." if report.is_passed else "**Stopped:**", ""]
    lines += [f"- {reason}" for reason in report.reasons]
    figures = ((name.replace("_", " "), f"{value:,.4g}") for name, value in report.figures.items())
    lines += ["", *table("| figure | value |", figures)]
    if report.intervals:
        intervals = (
            (name, f"{each['value']:+.4f}", f"{each['low']:+.4f} to {each['high']:+.4f}")
            for name, each in report.intervals.items()
        )
        lines += ["", *table("| against production | difference or factor | interval |", intervals)]
    return "\n".join(lines) + "\n"


def _newest(settings: Settings, version: ModelVersion, model: OpenModel, on_progress: OnProgress) -> list[Example]:
    """The comments kept from the version's training, read again."""
    training = model.card["training"]
    try:
        window = Interval(training["start_us"], training["end_us"])
        split_us, maturity_us = training["split_us"], training["maturity_us"]
        no_action, most = training["no_action"], training["most"]
    except KeyError as error:
        raise ModelRefused(
            str(version), f"its card does not say its {error}: it was not trained on the lake", "Retrain it there."
        ) from error
    found = read_examples(
        settings, window, maturity_us=maturity_us, no_action=no_action, most=most, on_progress=on_progress
    )
    if found.manifest_digest != training["manifest_digest"]:
        on_progress("the lake has got more of the window since the training; the newest comments are as they are now")
    return split_at(found.examples, split_us).newest


def _scorable(model: OpenModel, newest: list[Example], error: Exception, on_progress: OnProgress) -> list[Example]:
    """The examples that a version can score."""
    try:
        _judged(model, newest)
    except Exception:
        return without_failing(newest, model.kernel.score_many, error, on_progress)[0]
    return newest


def _judged(model: OpenModel, newest: Sequence[Example]) -> Judged:
    scores = model.kernel.score_many([each.comment.body for each in newest])
    verdicts = [
        at_least_review(verdict, each.repairs)
        for verdict, each in zip(model.policy.verdicts(scores), newest, strict=True)
    ]
    return Judged(np.asarray(scores, np.float64) / 1_000_000, verdicts)


def _days(newest: Sequence[Example]) -> float:
    if not newest:
        return 1.0
    return max(newest[-1].comment.event_time_us - newest[0].comment.event_time_us, 1) / DAY_US


def _last_night_defects(settings: Settings) -> int | None:
    since_us = now_us() - _NIGHT_HOURS * 3_600_000_000
    with connected(required(settings.database_url, "database_url")) as connection:
        return recent_defects(connection, settings.topic_prefix + COMMENTS.name, since_us)
