"""Decide whether there is anything to train on that production has not seen."""

from __future__ import annotations

from batch.labelled_examples import read_examples
from batch.markdown import iso_time
from batch.nothing_done import NothingDone
from batch.retrain.options import RetrainOptions
from batch.run_interval import Interval
from moderation.adapters.registry.registry import PRODUCTION
from moderation.bootstrap import new_lexicon, registry
from moderation.errors import ModelRefused
from moderation.settings import Settings


def nothing_to_train(settings: Settings, options: RetrainOptions, *, is_asked: bool) -> NothingDone | None:
    """Return why a retraining would do nothing; None if it has something to train on.

    There is nothing to do if the interval has no labelled comment. There is nothing to do either if no labelled
    comment is newer than the comments that production was trained on, unless a person asked for another training.

    Args:
        settings: where lake, manifest and registry are.
        options: of the retraining.
        is_asked: whether a person stated options, so that even the same comments give another model.

    Raises:
        LakeDamaged: a file is missing or not what was written.
        Unavailable: a server does not answer.
    """
    whole = options.interval
    trained = None if is_asked else _end_of_training(settings)
    if trained is None:
        if _has_examples(settings, options, whole):
            return None
        between = f"{iso_time(whole.start_us)} and {iso_time(whole.end_us)}"
        return NothingDone(f"the lake contains no labelled comment between {between}")
    version, end_us = trained
    newer = Interval(max(end_us, whole.start_us), whole.end_us)
    if newer.start_us < newer.end_us and _has_examples(settings, options, newer):
        return None
    return NothingDone(
        f"no comment with a mature label is newer than the training of production version {version}, which ended at "
        f"{iso_time(end_us)}"
    )


def _has_examples(settings: Settings, options: RetrainOptions, interval: Interval) -> bool:
    found = read_examples(settings, interval, maturity_us=options.maturity_us, no_action=options.no_action, most=1)
    return found.counts["examples"] + found.counts["failed"] + found.counts["unreadable"] > 0


def _end_of_training(settings: Settings) -> tuple[str, int] | None:
    """Return number and end of training of the production version; None if unknown or not of the lake."""
    model_registry = registry(settings)
    cache = settings.state_folder / "batch" / "models"
    try:
        serving = model_registry.resolve(PRODUCTION)
        if serving is None:
            return None
        model = model_registry.open_certified(serving, new_lexicon(settings), settings.model_max_bytes, cache)
    except ModelRefused:  # a version that does not verify is no reason to keep it
        return None
    end_us = model.card["training"].get("end_us")
    return None if end_us is None else (serving.version, int(end_us))
