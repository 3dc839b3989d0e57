from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from batch.labelled_examples import Example, LabelledExamples
from batch.retrain import newest as newest_module
from batch.retrain.newest import (
    GateTime,
    ProductionTraining,
    gate_time,
    production_training,
    without_production_training,
)
from moderation.adapters.model_folder.folder import OpenModel
from moderation.adapters.registry import ModelVersion, Registry
from moderation.contracts import Comment
from moderation.errors import ModelRefused, NotInRegistry
from moderation.settings import Settings
from moderation.timestamps import DAY_US, time_us_of
from moderation.training.seen_texts import FILE, SeenTexts

NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)
MATURE_US = time_us_of(NOW) - 2 * DAY_US
EXAMPLES = [Example(Comment(f"c{n}", "x", f"text {n}", 1_000 * n), n % 2 == 0, 1.0) for n in range(10)]


def test_comments_from_the_time_of_productions_training_do_not_count() -> None:
    newest = without_production_training(EXAMPLES, ProductionTraining("3", 6_000, SeenTexts.of([])))
    assert newest.examples == EXAMPLES[6:]
    assert newest.left_out == {"in_time_of_production_training": 6, "text_in_production_training": 0}
    assert newest.notes == (
        "production version 3 was trained on comments before 1970-01-01 00:00 UTC: only later ones count",
    )


def test_comments_with_a_text_of_productions_training_do_not_count() -> None:
    newest = without_production_training(EXAMPLES, ProductionTraining("3", 6_000, SeenTexts.of(["TEXT  7", "text 1"])))
    assert newest.examples == [EXAMPLES[6], *EXAMPLES[8:]]
    assert newest.left_out == {"in_time_of_production_training": 6, "text_in_production_training": 1}


def test_what_is_unknown_of_productions_training_is_stated() -> None:
    newest = without_production_training(EXAMPLES, ProductionTraining("3", None, None))
    assert newest.examples == EXAMPLES
    assert [note.partition(":")[0] for note in newest.notes] == [
        "production version 3 does not state the time of its training data",
        "the texts on which production version 3 was trained are unknown",
    ]


def test_without_production_all_newest_comments_count() -> None:
    newest = without_production_training(EXAMPLES, None)
    assert (newest.examples, newest.left_out, newest.notes) == (EXAMPLES, {}, ())


VERSION = ModelVersion("comment-moderation", "3", "run 3", "", "")
ON_THE_LAKE = {"start_us": 0, "end_us": 10_000, "split_us": 8_000, "maturity_us": 5, "no_action": "kept", "most": 100}
SEEN = SeenTexts.of(["text 1"]).to_bytes()


def known(
    card: Mapping[str, Any], artifacts: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> ProductionTraining:
    """What is found out about a version with this card, whose run has these artifacts; the lake has ``EXAMPLES``."""

    def read(run_id: str, path: str) -> bytes:
        assert run_id == VERSION.run_id
        if path not in artifacts:
            raise NotInRegistry(run_id, f"it has no {path}")
        return artifacts[path]

    def read_lake(*_: object, **__: object) -> LabelledExamples:
        return LabelledExamples(EXAMPLES, "digest", {})

    monkeypatch.setattr(newest_module, "read_examples", read_lake)
    registry = cast("Registry", SimpleNamespace(run_artifacts=SimpleNamespace(read=read)))
    model = cast("OpenModel", SimpleNamespace(card={"training": card}))
    return production_training(Settings(), registry, VERSION, model, lambda line: None)


def test_the_stored_digests_say_what_production_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    card = {"newest_us": 41, "seen_texts_sha256": hashlib.sha256(SEEN).hexdigest()}
    training = known(card, {FILE: SEEN}, monkeypatch)
    assert (training.version, training.end_us) == ("3", 42)
    assert training.texts is not None
    assert training.texts.contain(["text 1", "text 2"]).tolist() == [True, False]
    with pytest.raises(ModelRefused, match="not the one in the model card"):
        known(card, {FILE: b"x" * 8}, monkeypatch)


def test_texts_of_an_earlier_release_are_read_from_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    training = known(ON_THE_LAKE, {}, monkeypatch)
    assert training.end_us == 8_000
    assert training.texts is not None
    expected = [each.comment.event_time_us < 8_000 for each in EXAMPLES]
    assert np.array_equal(training.texts.contain([each.comment.body for each in EXAMPLES]), expected)


def test_an_earlier_release_that_trained_on_a_file_leaves_time_and_texts_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert known({"seed": 0}, {}, monkeypatch) == ProductionTraining("3", None, None)


def test_a_deleted_run_leaves_the_texts_of_a_file_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    card = {"newest_us": 41, "seen_texts_sha256": hashlib.sha256(SEEN).hexdigest()}
    assert known(card, {}, monkeypatch) == ProductionTraining("3", 42, None)


def test_the_gate_reads_what_was_left_out_of_a_training_on_the_lake() -> None:
    card = {"start_us": 0, "end_us": 9, "split_us": 5, "maturity_us": 1, "no_action": "left out", "most": 7}
    card |= {"manifest_digest": "d"}
    assert gate_time(card, NOW) == GateTime(5, 9, 1, "left out", 7)


@pytest.mark.parametrize(
    ("newest_us", "split_us"),
    [
        (None, MATURE_US - 28 * DAY_US),
        (0, MATURE_US - 28 * DAY_US),
        (MATURE_US - 5, MATURE_US - 4),
        (MATURE_US, MATURE_US),
    ],
)
def test_a_version_from_a_file_is_compared_on_newer_comments_of_28_days(newest_us: int | None, split_us: int) -> None:
    time = gate_time({"newest_us": newest_us}, NOW)
    assert (time.split_us, time.end_us, time.no_action) == (split_us, MATURE_US, "kept")
