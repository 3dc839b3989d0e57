"""The comments that the gate uses: newer than the training data of both versions, and without the texts of either."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from batch.label_rule import NoAction
from batch.labelled_examples import Example, LabelledExamples, read_examples
from batch.markdown import minute
from batch.progress import OnProgress
from batch.retrain.options import parse_options
from batch.retrain.split import Split, split_at
from batch.run_interval import Interval
from moderation.adapters.model_folder.folder import OpenModel
from moderation.adapters.registry import ModelVersion, Registry
from moderation.errors import NotInRegistry
from moderation.settings import Settings
from moderation.training.seen_texts import FILE, SeenTexts

_ON_LAKE = ("start_us", "end_us", "split_us", "maturity_us", "no_action", "most", "manifest_digest")


@dataclass(frozen=True, slots=True)
class ProductionTraining:
    """What is known of the training data of the production version.

    Attributes:
        version: its number.
        end_us: later than the event times of all its training comments; None if unknown.
        texts: its training texts; None if unknown.
    """

    version: str
    end_us: int | None
    texts: SeenTexts | None


@dataclass(frozen=True, slots=True)
class NewestComments:
    """Comments on which two versions are compared.

    Attributes:
        examples: in order of event time.
        left_out: number of comments that are left out because of the production version, by reason.
        notes: what is unknown of the training data of the production version, or worth knowing.
    """

    examples: list[Example]
    left_out: Mapping[str, int]
    notes: tuple[str, ...]


def without_production_training(examples: list[Example], training: ProductionTraining | None) -> NewestComments:
    """Leave out comments from the time of production's training, and those with a text it was trained on.

    Args:
        examples: the newest comments of the challenger, in order of event time.
        training: of the production version; None if no version serves.
    """
    if training is None:
        return NewestComments(examples, {}, ())
    name, notes = f"production version {training.version}", []
    if training.end_us is None:
        notes.append(f"{name} does not state the time of its training data: some may be among the newest comments")
        newer = examples
    else:
        notes.append(f"{name} was trained on comments before {minute(training.end_us)}: only later ones count")
        newer = [each for each in examples if each.comment.event_time_us >= training.end_us]
    if training.texts is None:
        notes.append(f"the texts on which {name} was trained are unknown: some may be among the newest comments")
        unseen = newer
    else:
        is_seen = training.texts.contain([each.comment.body for each in newer])
        unseen = [newer[at] for at in np.flatnonzero(~is_seen).tolist()]
    left_out = {
        "in_time_of_production_training": len(examples) - len(newer),
        "text_in_production_training": len(newer) - len(unseen),
    }
    return NewestComments(unseen, left_out, tuple(notes))


@dataclass(frozen=True, slots=True)
class GateTime:
    """Time range of the comments that the gate reads for a version, and how it labels them.

    Attributes:
        split_us, end_us: range of event times, half-open.
        maturity_us: how long after a comment an action on it counts.
        no_action: meaning of a comment without an action.
        most: maximum number of comments.
    """

    split_us: int
    end_us: int
    maturity_us: int
    no_action: NoAction
    most: int


def gate_time(training: Mapping[str, Any], now: datetime) -> GateTime:
    """Return the time range in which a version is compared.

    For a version that was trained on the lake it is that of the comments that were left out of its training. For one
    that was trained on a file it is the default interval of a retraining, after the newest comment of the file.

    Args:
        training: what the model card says of the training.
        now: determines which labels are mature, for a version that was trained on a file.
    """
    if is_from_lake(training):
        names = ("split_us", "end_us", "maturity_us", "no_action", "most")
        return GateTime(**{name: training[name] for name in names})
    options = parse_options({}, now)
    newest_us = training.get("newest_us")
    first_us = options.interval.start_us if newest_us is None else max(options.interval.start_us, newest_us + 1)
    end_us = options.interval.end_us
    return GateTime(min(first_us, end_us), end_us, options.maturity_us, options.no_action, options.most)


def is_from_lake(training: Mapping[str, Any]) -> bool:
    """Return whether a model card has the parameters of a training on the lake."""
    return all(name in training for name in _ON_LAKE)


def newest_of(
    settings: Settings,
    model_registry: Registry,
    version: ModelVersion,
    training: Mapping[str, Any],
    time: GateTime,
    on_progress: OnProgress,
) -> list[Example]:
    """Read the comments that a version was not trained on.

    Args:
        settings: where lake and manifest are.
        model_registry: of the version.
        version: to judge.
        training: what its model card says of the training.
        time: see :func:`gate_time`.
        on_progress: receives one line at each step.

    Raises:
        LakeDamaged: a file is missing or not what was written.
    """
    if is_from_lake(training):
        found, split = _read_again(settings, training, on_progress)
        if found.manifest_digest != training["manifest_digest"]:
            on_progress("the lake has new records of the interval since the training; the gate uses them too")
        return split.newest
    labels = read_examples(
        settings,
        Interval(time.split_us, time.end_us),
        maturity_us=time.maturity_us,
        no_action=time.no_action,
        most=time.most,
        on_progress=on_progress,
    )
    if (texts := _texts(settings, model_registry, version, training, on_progress)) is None:
        on_progress(f"the texts on which version {version.version} was trained are unknown: some may be among them")
        return labels.examples
    is_seen = texts.contain([each.comment.body for each in labels.examples])
    return [labels.examples[at] for at in np.flatnonzero(~is_seen).tolist()]


def all_of_newest_time(
    settings: Settings, time: GateTime, training: ProductionTraining, on_progress: OnProgress
) -> LabelledExamples:
    """Read every comment, labelled or not, that is newer than the training data of both versions.

    Args:
        settings: where lake and manifest are.
        time: see :func:`gate_time`.
        training: of the production version.
        on_progress: receives one line at each step.

    Raises:
        LakeDamaged: a file is missing or not what was written.
    """
    start_us = max(time.split_us, training.end_us or 0)
    interval = Interval(min(start_us, time.end_us), time.end_us)
    # With a negative maturity every record is an example.
    return read_examples(settings, interval, maturity_us=-1, most=time.most, on_progress=on_progress)


def production_training(
    settings: Settings,
    model_registry: Registry,
    version: ModelVersion,
    model: OpenModel,
    on_progress: OnProgress,
) -> ProductionTraining:
    """Find out what the production version was trained on.

    A version that an earlier release trained on the lake has no digests of its texts: they are read from the lake.

    Raises:
        ModelRefused: the digests of its texts were altered.
        LakeDamaged: a file is missing or not what was written.
    """
    training: Mapping[str, Any] = model.card["training"]
    newest_us, split_us = training.get("newest_us"), training.get("split_us")
    end_us = split_us if newest_us is None else newest_us + 1
    return ProductionTraining(version.version, end_us, _texts(settings, model_registry, version, training, on_progress))


def _texts(
    settings: Settings,
    model_registry: Registry,
    version: ModelVersion,
    training: Mapping[str, Any],
    on_progress: OnProgress,
) -> SeenTexts | None:
    if "seen_texts_sha256" in training:
        with contextlib.suppress(NotInRegistry):  # its run was deleted
            content = model_registry.run_artifacts.read(version.run_id, FILE)
            return SeenTexts.from_bytes(content, training["seen_texts_sha256"])
    on_progress(f"reading the training texts of version {version.version} from the lake")
    try:
        _, split = _read_again(settings, training, on_progress)
    except KeyError:  # it was not trained on the lake
        return None
    return SeenTexts.of(each.comment.body for each in split.training)


def _read_again(
    settings: Settings, training: Mapping[str, Any], on_progress: OnProgress
) -> tuple[LabelledExamples, Split]:
    """Read the examples of a training on the lake again.

    Raises:
        KeyError: the card has not the parameters of a training on the lake.
    """
    interval = Interval(training["start_us"], training["end_us"])
    split_us, maturity_us = training["split_us"], training["maturity_us"]
    no_action, most = training["no_action"], training["most"]
    found = read_examples(
        settings,
        interval,
        maturity_us=maturity_us,
        no_action=no_action,
        most=most,
        sample_salt=training.get("manifest_digest"),
        on_progress=on_progress,
    )
    return found, split_at(found.examples, split_us)
