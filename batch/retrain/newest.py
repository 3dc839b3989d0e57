"""The comments that the gate uses: newer than the training data of both versions, and without the texts of either."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from batch.labelled_examples import Example, LabelledExamples, read_examples
from batch.markdown import minute
from batch.progress import OnProgress
from batch.retrain.split import Split, split_at
from batch.run_interval import Interval
from moderation.adapters.model_folder.folder import OpenModel
from moderation.adapters.registry import ModelVersion, Registry
from moderation.errors import ModelRefused, NotInRegistry
from moderation.settings import Settings
from moderation.training.seen_texts import FILE, SeenTexts


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


def newest_of(settings: Settings, version: ModelVersion, model: OpenModel, on_progress: OnProgress) -> list[Example]:
    """Read the comments again that were left out of a version's training for the gate.

    Raises:
        ModelRefused: the version was not trained on the lake.
        LakeDamaged: a file is missing or not what was written.
    """
    try:
        found, split = _read_again(settings, model.card["training"], on_progress)
    except KeyError as error:
        raise ModelRefused(
            str(version), f"its card has no {error}: it was not trained on the lake", "Retrain it on the lake."
        ) from error
    if found.manifest_digest != model.card["training"]["manifest_digest"]:
        on_progress("the lake has new records of the interval since the training; the gate uses them too")
    return split.newest


def all_of_newest_time(
    settings: Settings, model: OpenModel, training: ProductionTraining, on_progress: OnProgress
) -> LabelledExamples:
    """Read every comment, labelled or not, that is newer than the training data of both versions.

    Args:
        settings: where lake and manifest are.
        model: the challenger.
        training: of the production version.
        on_progress: receives one line at each step.

    Raises:
        LakeDamaged: a file is missing or not what was written.
    """
    card = model.card["training"]
    start_us = max(card["split_us"], training.end_us or 0)
    interval = Interval(min(start_us, card["end_us"]), card["end_us"])
    # With a negative maturity every record is an example.
    return read_examples(settings, interval, maturity_us=-1, most=card["most"], on_progress=on_progress)


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
