"""Check one day of the lake for drift against the production model; store the artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from batch.drift.artifacts import evidence_files
from batch.drift.measures import Measures, compare_with_reference, measure_day
from batch.drift.params import COOL_DOWN_DAYS
from batch.drift.report import DriftReport
from batch.label_rule import NoAction
from batch.labelled_examples import Example, read_examples, without_failing
from batch.progress import OnProgress, no_progress
from batch.retrain.params import PARAMS
from batch.retrain.run import RUN_NAME
from batch.run_interval import Interval, resolve_interval
from moderation.adapters.model_folder.folder import OpenModel
from moderation.adapters.registry import Registry
from moderation.adapters.registry.certificate import PREFIX
from moderation.bootstrap import new_lexicon, registry
from moderation.errors import NotInRegistry
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
    """Compare a day with the production model's training reference; store the artifacts in MLflow. Never promotes.

    Each check of a day stores its artifacts. A repeated check gives the same result unless a retraining happened in
    between. So the repetition of a run that was killed after it stored its artifacts still makes its request. A day
    without comments and labels is skipped; nothing is stored.

    Args:
        settings: where lake, manifest and registry are.
        day: UTC day of event time.
        cool_down_days: for this time after a retraining, or after the request of another day, none is requested.
        maturity_hours: how long after a comment its last action counts; as in the model's training if None, 48 if
            the training has no such value.
        may_ask: whether this check may request a retraining. If not, it never does, and it starts no cool-down.
        current_us: the present time for the cool-down; the clock's time if None.
        on_progress: receives one line at each step.

    Raises:
        NotInRegistry: there is no production version.
        ModelRefused: the production version does not verify.
        LakeDamaged: a file is missing or not what was written.
        Unavailable: a server does not answer.
        RegistryUnavailable: MLflow does not answer.
    """
    model_registry, lexicon = registry(settings), new_lexicon(settings)
    serving = model_registry.resolve("production")
    if serving is None:
        raise NotInRegistry(
            f"alias production of {settings.model_name}",
            "no version has it: there is nothing to compare a day with",
            "Promote a version.",
        )
    # The batch has a cache of its own, because a worker falls back on the version that a worker opened last.
    cache = settings.state_folder / "batch" / "models"
    model = model_registry.open_certified(serving, lexicon, settings.model_max_bytes, cache)
    maturity_us, no_action = label_rules(model.card["training"], maturity_hours)
    labels_day = newest_mature_day(day, maturity_us)
    # A negative maturity makes every record an example, as in batch.labelled_examples.read_comments.
    examples_read = read_examples(settings, _interval(day), maturity_us=-1, on_progress=on_progress)
    comments, manifest_digest = examples_read.examples, examples_read.manifest_digest
    labelled = read_examples(
        settings, _interval(labels_day), maturity_us=maturity_us, no_action=no_action, on_progress=on_progress
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
    if not comments and not labelled:
        days = f"{day}, nor a mature label of {labels_day}"
        report = replace(report, skipped=f"the lake contains no comment of {days}")
        on_progress(f"{day}: {report.summary}")
        return report
    if report.drifted:
        held_back = None if may_ask else "only the nightly watch asks"
        report = replace(report, held_back=_cool_down(model_registry, day, cool_down_days, current_us) or held_back)
    on_progress("storing the artifacts")
    stored = model_registry.run_artifacts.keep(
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
    return replace(report, url=stored.url)


def label_rules(training: Mapping[str, Any], maturity_hours: float | None) -> tuple[int, NoAction]:
    """Return how labels are made, so that they are comparable with those of the training.

    Args:
        training: of the model's card; it has no values for labels if the model was not trained on the lake.
        maturity_hours: requested value; as in the training if None, else the default parameter.

    Returns:
        How long after a comment its last action counts, in microseconds, and the meaning of a comment without action.
    """
    default_us = round(PARAMS["maturity_hours"]["default"] * HOUR_US)
    maturity_us = training.get("maturity_us", default_us) if maturity_hours is None else round(maturity_hours * HOUR_US)
    return maturity_us, training.get("no_action", PARAMS["no_action"]["default"])


def newest_mature_day(day: date, maturity_us: int) -> date:
    """Return the newest day whose last comment's label was mature when ``day`` ended."""
    return day - timedelta(days=-(-maturity_us // DAY_US))


def cooling_down(current_us: int, retrained_us: int | None, asked_us: int | None, cool_down_us: int) -> str | None:
    """Return why no retraining may be requested now; None if one may be.

    Args:
        current_us: the present time.
        retrained_us: when the last retraining registered its version; None if there was none.
        asked_us: when drift of another day last requested one; None if it never did.
        cool_down_us: for how long either event suppresses requests.
    """
    for what, when_us in (("a retraining registered a version", retrained_us), ("drift requested one", asked_us)):
        if when_us is not None and current_us - when_us < cool_down_us:
            ago, cool_down = (current_us - when_us) / HOUR_US, cool_down_us / HOUR_US
            return f"{what} {ago:.1f} hours ago, and the cool-down is {cool_down:g} hours"
    return None


def _cool_down(model_registry: Registry, day: date, cool_down_days: float, current_us: int | None) -> str | None:
    asked = model_registry.run_artifacts.newest("drift", {"asked": "yes"})
    asked_us = None if asked is None or asked.tags[PREFIX + "day"] == day.isoformat() else asked.began_us
    current_us = now_us() if current_us is None else current_us
    return cooling_down(current_us, model_registry.newest_run_us(RUN_NAME), asked_us, round(cool_down_days * DAY_US))


def _measured(
    model: OpenModel, comments: Sequence[Example], labelled: Sequence[Example], on_progress: OnProgress
) -> Measures:
    """Compute the day's measures, without records at which the model fails."""
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


def _interval(day: date) -> Interval:
    return resolve_interval({"day": day.isoformat()})


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
