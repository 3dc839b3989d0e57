"""A model folder opens only if every byte is unchanged and every type is trusted."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import Pipeline

from moderation.adapters.model_folder import folder as model_folder
from moderation.adapters.model_folder.folder import open_model, save_model
from moderation.adapters.model_folder.skops_archive import dump_model, load_model
from moderation.errors import ModelRefused
from moderation.policy import Policy
from moderation.scoring import ModerationPipeline, new_pipeline
from moderation.scoring.golden import GOLDEN_TEXTS
from moderation.text import Lexicon
from moderation.training.metrics import Metrics
from tests.support.reference import REFERENCE

MAX_BYTES = 64 * 1024 * 1024
METRICS = Metrics(0.9, (0.9, 0.9), 0.9, 0.8, 0.1, 0.02, 0.7, 100, 30)
TRAINING = {"data_digest": "d" * 64, "seed": 0, "folds": 5}


@pytest.fixture(scope="module")
def saved(pipeline: ModerationPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, pipeline, Policy(400_000, 900_000, ("recall>=0.8",)), METRICS, REFERENCE, TRAINING)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def opened(folder: Path) -> model_folder.OpenModel:
    return open_model(folder, Lexicon(), MAX_BYTES)


def reseal(folder: Path, **changes: Any) -> None:
    """Update the card after a change of files, as an attacker without the certificate key could do."""
    card = json.loads((folder / "model.json").read_text())
    card["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in card["files"]}
    card.update(changes)
    del card["card_sha256"]
    card["card_sha256"] = hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()
    (folder / "model.json").write_text(json.dumps(card))


def test_a_saved_model_scores_as_before(folder: Path, pipeline: ModerationPipeline) -> None:
    model = opened(folder)
    assert model.kernel.logits(GOLDEN_TEXTS).tolist() == pipeline.kernel().logits(GOLDEN_TEXTS).tolist()
    assert model.policy == Policy(400_000, 900_000, ("recall>=0.8",))
    assert model.reference == REFERENCE
    assert model.model_digest == hashlib.sha256((folder / "model.skops").read_bytes()).hexdigest()


def test_equal_models_have_equal_files(folder: Path, small_corpus: tuple[list[str], list[int]], tmp_path: Path) -> None:
    again = new_pipeline(Lexicon()).fit(*small_corpus)
    save_model(tmp_path / "again", again, Policy(400_000, 900_000, ("recall>=0.8",)), METRICS, REFERENCE, TRAINING)
    for name in ("model.skops", "policy.json", "metrics.json", "reference.json", "golden.json", "model.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name


def test_saving_over_an_older_model_replaces_it(folder: Path, pipeline: ModerationPipeline) -> None:
    save_model(folder, pipeline, Policy(1, 2, ()), METRICS, REFERENCE, TRAINING)
    assert opened(folder).policy == Policy(1, 2, ())


@pytest.mark.parametrize(
    "name", ["model.skops", "policy.json", "metrics.json", "reference.json", "golden.json", "model.json"]
)
@pytest.mark.parametrize("damage", ["missing", "truncated", "edited", "emptied"])
def test_any_damage_to_any_file_is_refused_by_name(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        middle = len(data) // 2
        other = b"7" if data[middle : middle + 1] != b"7" else b"8"
        edited = data[:middle] + other + data[middle + 1 :]
        path.write_bytes({"truncated": data[:middle], "edited": edited, "emptied": b""}[damage])
    with pytest.raises(ModelRefused, match=name.replace(".", r"\.")):
        opened(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"model\.json"):
        opened(tmp_path / "nowhere")


def test_a_file_over_the_limit_is_not_read_whole(folder: Path) -> None:
    with pytest.raises(ModelRefused, match="larger than 1000 bytes"):
        open_model(folder, Lexicon(), 1_000)


class Exploit:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return open, ("/nonexistent/moderation-pickle-was-run",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_refused_and_not_run(folder: Path, protocol: int) -> None:
    (folder / "model.skops").write_bytes(pickle.dumps(Exploit(), protocol))
    reseal(folder)
    with pytest.raises(ModelRefused, match="pickle|not a skops archive"):
        opened(folder)


def foreign_models(pipeline: ModerationPipeline) -> dict[str, object]:
    class Stranger(LogisticRegression):  # type: ignore[misc]
        pass

    plain = Pipeline(pipeline.steps)
    other_step = ModerationPipeline([pipeline.steps[0], ("classifier", SGDClassifier())])
    odd = new_pipeline(Lexicon())
    odd.steps[1][1].coef_ = np.array([print, "x"], dtype=object)
    return {"plain pipeline": plain, "other classifier": other_step, "objects in an array": odd, "a dict": {"a": 1}}


@pytest.mark.parametrize("kind", ["plain pipeline", "other classifier", "objects in an array", "a dict"])
def test_types_outside_the_fixed_list_are_refused(folder: Path, pipeline: ModerationPipeline, kind: str) -> None:
    (folder / "model.skops").write_bytes(skops.io.dumps(foreign_models(pipeline)[kind]))
    reseal(folder)
    with pytest.raises(ModelRefused, match="not trusted|not a ModerationPipeline"):
        opened(folder)


def rewritten(data: bytes, change: Callable[[Any], None], compression: int = zipfile.ZIP_STORED) -> bytes:
    source = zipfile.ZipFile(io.BytesIO(data))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                change(schema)
                content = json.dumps(schema).encode()
            target.writestr(name, content)
    return buffer.getvalue()


def test_tampered_archives_are_refused(pipeline: ModerationPipeline) -> None:
    data = dump_model(pipeline)
    load_model(rewritten(data, lambda schema: None), "control")

    def protocol(schema: Any) -> None:
        schema["protocol"] = 0

    def loader(schema: Any) -> None:
        schema["content"]["__loader__"] = "ReduceNode"

    def system(schema: Any) -> None:
        schema["content"].update({"__module__": "os", "__class__": "system"})

    for change in (protocol, loader, system):
        with pytest.raises(ModelRefused):
            load_model(rewritten(data, change), "model.skops")
    with pytest.raises(ModelRefused, match="compressed"):
        load_model(rewritten(data, lambda schema: None, zipfile.ZIP_DEFLATED), "model.skops")
    for broken in (b"", b"PK", b"not a zip", data[:-30], data[: len(data) // 2]):
        with pytest.raises(ModelRefused):
            load_model(broken, "model.skops")


def test_another_kernel_version_is_refused(folder: Path) -> None:
    reseal(folder, kernel_version="0")
    with pytest.raises(ModelRefused, match="kernel version 0; this is version 1"):
        opened(folder)


def test_different_golden_scores_refuse_the_model(folder: Path) -> None:
    rows = json.loads((folder / "golden.json").read_text())
    rows[3]["score_ppm"] += 1
    (folder / "golden.json").write_text(json.dumps(rows))
    reseal(folder)
    with pytest.raises(ModelRefused, match="golden text"):
        opened(folder)


def test_a_model_whose_parts_do_not_fit_is_refused(folder: Path, small_corpus: tuple[list[str], list[int]]) -> None:
    broken = new_pipeline(Lexicon()).fit(*small_corpus)
    broken.named_steps["classifier"].coef_ = np.zeros((1, 5))
    (folder / "model.skops").write_bytes(dump_model(broken))
    reseal(folder)
    with pytest.raises(ModelRefused):
        opened(folder)
