"""One night of the watch: a day of the lake held against the model that serves, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from batch.drift.artifacts import evidence_files
from batch.drift.measures import Measures, compare_with_reference, measure_day
from batch.drift.params import COOL_DOWN_DAYS
from batch.drift.report import DriftReport
from batch.labelled_examples import Example, NoAction, read_examples, without_failing
from batch.progress import OnProgress, no_progress
from batch.retrain.params import PARAMS
from batch.retrain.run import RUN_NAME
from batch.run_interval import Interval, resolve_interval
from moderation.adapters.model_folder.folder import OpenModel
from moderation.adapters.registry import NotInRegistry, Registry
from moderation.adapters.registry.certificate import PREFIX
from moderation.bootstrap import new_lexicon, registry
from moderation.settings import Settings
from moderation.timestamps import now_us

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def check_drift(
    settings: Settings,
    day: date,
    *,
    cool_down_days: float = COOL_DOWN_DAYS,
    maturity_hours: float | None = None,
    may_ask: bool = False,
    current_us: int | None = None,
    on_progress: OnProgress = no_progress,
) -> DriftReport:
    """Hold a day against the production model's training reference and keep the evidence. Never promotes.

    A night that is watched again is kept again; its answer is the same while nothing was retrained, so that a run
    that died after it had kept its evidence does not fall silent.

    Args:
        settings: where lake, manifest and registry are.
        day: UTC day of event time.
        cool_down_days: so long after a retraining, or after another day has asked for one, no other is asked for.
        maturity_hours: how long after a comment its last action counts; as the model was trained if None, 48 if that
            is not known.
        may_ask: whether a report that asks leads to a retraining; if not, it never asks, and starts no cool-down.
        current_us: the present, for the cool-down; the clock's if None.
        on_progress: receives one line at each step.

    Raises:
        NotInRegistry: no version serves.
        ModelRefused: the one that serves does not verify.
        LakeDamaged: a file is missing or not what was written.
        ConfigurationError: a server is not there.
        RegistryUnavailable: MLflow does not answer.
    """
    found, lexicon = registry(settings), new_lexicon(settings)
    serving = found.resolve("production")
    if serving is None:
        raise NotInRegistry(
            f"alias production of {settings.model_name}",
            "no version has it: there is nothing to hold a day against",
            "Promote a version.",
        )
    # In a cache of the batch's own: what a worker falls back on is what a worker opened last.
    cache = settings.state_folder / "batch" / "models"
    model = found.open_certified(serving, lexicon, settings.model_max_bytes, cache)
    maturity_us, no_action = label_rules(model.card["training"], maturity_hours)
    labels_day = newest_mature_day(day, maturity_us)
    # With a maturity of less than nothing every record is an example, as in batch.examples.read_comments.
    found_comments = read_examples(settings, _window(day), maturity_us=-1, on_progress=on_progress)
    comments, manifest_digest = found_comments.examples, found_comments.manifest_digest
    labelled = read_examples(
        settings, _window(labels_day), maturity_us=maturity_us, no_action=no_action, on_progress=on_progress
    ).examples
    on_progress(f"{day}: {len(comments):,} comments against version {serving.version}")
    measures = _measured(model, comments, labelled, on_progress)
    report = DriftReport(
        day=day.isoformat(),
        labels_day=labels_day.isoformat(),
        production=serving.version,
        comments=len(comments),
        labelled=len(labelled),
        findings=compare_with_reference(model.reference, measures),
        held_back=None,
    )
    if report.drifted:
        held_back = None if may_ask else "only the nightly watch asks"
        report = replace(report, held_back=_cool_down(found, day, cool_down_days, current_us) or held_back)
    on_progress("keeping the evidence")
    kept = found.evidence.keep(
        "drift",
        f"drift {day}",
        evidence_files(report, model.reference, measures),
        tags={
            "day": report.day,
            "production": report.production,
            "drifted": _yes(bool(report.drifted)),
            "measures": ", ".join(report.drifted) or "none",
            "asked": _yes(report.asks),
        },
        params={
            "cool_down_days": f"{cool_down_days:g}",
            "maturity_hours": f"{maturity_us / HOUR_US:g}",
            "no_action": no_action,
            "manifest_digest": manifest_digest,
        },
        metrics={f"psi_{name}": finding.psi for name, finding in report.findings.items()},
    )
    on_progress(f"{day}: {report.summary}")
    return replace(report, url=kept.url)


def label_rules(training: Mapping[str, Any], maturity_hours: float | None) -> tuple[int, NoAction]:
    """How labels are made, so that they are comparable with those of the training.

    Args:
        training: of the model's card; one that was not trained on the lake says nothing of labels.
        maturity_hours: asked for; as in the training if None, else the form's default.

    Returns:
        How long after a comment its last action counts, in microseconds, and what a comment without an action is.
    """
    default_us = round(PARAMS["maturity_hours"]["default"] * HOUR_US)
    maturity_us = training.get("maturity_us", default_us) if maturity_hours is None else round(maturity_hours * HOUR_US)
    return maturity_us, training.get("no_action", PARAMS["no_action"]["default"])


def newest_mature_day(day: date, maturity_us: int) -> date:
    """The newest day whose last comment's label was mature when ``day`` ended."""
    return day - timedelta(days=-(-maturity_us // DAY_US))


def cooling_down(current_us: int, retrained_us: int | None, asked_us: int | None, cool_down_us: int) -> str | None:
    """Why no retraining is asked for now; None if one may be.

    Args:
        current_us: the present.
        retrained_us: when the last retraining registered its version; None if none ever did.
        asked_us: when another day's drift last asked for one; likewise.
        cool_down_us: how long either keeps others from asking.
    """
    for what, when_us in (("a retraining registered a version", retrained_us), ("drift asked for one", asked_us)):
        if when_us is not None and current_us - when_us < cool_down_us:
            ago, cool_down = (current_us - when_us) / HOUR_US, cool_down_us / HOUR_US
            return f"{what} {ago:.1f} hours ago, and the cool-down is {cool_down:g} hours"
    return None


def _cool_down(found: Registry, day: date, cool_down_days: float, current_us: int | None) -> str | None:
    asked = found.evidence.newest("drift", {"asked": "yes"})
    asked_us = None if asked is None or asked.tags[PREFIX + "day"] == day.isoformat() else asked.began_us
    current_us = now_us() if current_us is None else current_us
    return cooling_down(current_us, found.newest_run_us(RUN_NAME), asked_us, round(cool_down_days * DAY_US))


def _measured(
    model: OpenModel, comments: Sequence[Example], labelled: Sequence[Example], on_progress: OnProgress
) -> Measures:
    """The day's measures, without records at which the model fails."""
    try:
        return measure_day(model, [each.comment for each in comments], labelled)
    except Exception as error:

        def attempt(texts: Sequence[str]) -> None:
            model.kernel.probabilities(texts)
            model.kernel.unseen_shares(texts, model.reference.comments)

        _, failures = without_failing([*comments, *labelled], attempt, error, on_progress)
    failed = {(each.partition, each.offset) for each in failures}
    sound, judged = (
        [each for each in part if (each.partition, each.offset) not in failed] for part in (comments, labelled)
    )
    return measure_day(model, [each.comment for each in sound], judged)


def _window(day: date) -> Interval:
    return resolve_interval({"day": day.isoformat()})


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
