"""Model folders: write a model as files, and verify them before opening.

model.skops    the scikit-learn pipeline
policy.json    thresholds, goals, expected operating point
metrics.json   out-of-fold measurements
reference.json distributions of the training comments, for the drift check
golden.json    fixed texts and their scores
model.json     the model card: digests of the five files above, kernel version, data digest, seed, library versions
plots/*.png    plots, not verified
training_texts.bin  digests of the training texts, for the gate; the registry stores them with the run, not the model
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from moderation.adapters.model_folder.skops_archive import dump_model, load_model
from moderation.adapters.override import Override
from moderation.errors import ModelRefused
from moderation.policy import Policy
from moderation.scoring import Kernel, ModerationPipeline
from moderation.scoring.golden import GoldenRow, first_difference, golden_rows
from moderation.text import KERNEL_VERSION, Lexicon
from moderation.training.metrics import Metrics
from moderation.training.reference import TrainingReference

CARD, MODEL, POLICY, METRICS, GOLDEN = "model.json", "model.skops", "policy.json", "metrics.json", "golden.json"
REFERENCE = "reference.json"
VERIFIED = (MODEL, POLICY, METRICS, REFERENCE, GOLDEN)
"""Files whose digests the card contains."""
_CARD_FIELDS = {"schema_version", "kernel_version", "files", "training", "versions", "card_sha256"}
_LIBRARIES = ("numpy", "scikit-learn", "scipy", "skops", "spacy", "spacy-lookups-data")
_REMEDY = "Copy the model from its origin again, or train it again."


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A verified model, ready to score.

    Attributes:
        kernel: computes scores.
        policy: maps scores to verdicts.
        reference: distributions of the training comments.
        model_digest: SHA-256 of ``model.skops``, hexadecimal.
        card: fields of the model card.
        exploration_key: key that the policy explores with; None if it does not, or if verdicts on records are not
            computed with this model.
        override: by which it may serve without certificate; None if it has one, or is not opened to serve.
    """

    kernel: Kernel
    policy: Policy
    reference: TrainingReference
    model_digest: str
    card: Mapping[str, Any]
    exploration_key: bytes | None = field(default=None, repr=False)
    override: Override | None = None


def save_model(
    folder: Path,
    pipeline: ModerationPipeline,
    policy: Policy,
    metrics: Metrics,
    reference: TrainingReference,
    training: Mapping[str, Any],
) -> str:
    """Write a model folder.

    Args:
        folder: created if absent; files of an earlier model in it are replaced, the card last.
        pipeline: fitted and calibrated model.
        policy: policy resolved on out-of-fold scores.
        metrics: measurements of out-of-fold scores.
        reference: distributions of the training comments.
        training: parameters that reproduce the training: data digest, seed, folds, goals.

    Returns:
        The model digest: SHA-256 of ``model.skops``, hexadecimal. No file contains a time or a path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    contents = {
        MODEL: dump_model(pipeline),
        POLICY: policy.to_json().encode(),
        METRICS: _json(asdict(metrics)),
        REFERENCE: reference.to_json().encode(),
        GOLDEN: _json([asdict(row) for row in golden_rows(pipeline.kernel())]),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    card = {
        "schema_version": 1,
        "kernel_version": KERNEL_VERSION,
        "files": {name: _sha256(data) for name, data in contents.items()},
        "training": dict(training),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    }
    (folder / CARD).write_bytes(_json({**card, "card_sha256": _card_digest(card)}))
    return _sha256(contents[MODEL])


def open_model(folder: Path, lexicon: Lexicon, max_bytes: int) -> OpenModel:
    """Verify a model folder and open it.

    Every file is read once, compared with its digest in the card, and then opened from the same bytes.

    Args:
        folder: written by :func:`save_model`.
        lexicon: shared lexicon of the process.
        max_bytes: size limit of a file.

    Raises:
        ModelRefused: a file is missing, too large, truncated, edited, of another kernel version, contains an
            untrusted type, or scores the golden texts differently on this machine.
    """
    card = _read_card(folder, max_bytes)
    contents = {name: _read_verified(folder / name, card["files"].get(name), max_bytes) for name in VERIFIED}
    pipeline = load_model(contents[MODEL], str(folder / MODEL))
    try:
        kernel = pipeline.kernel(lexicon)
    except (KeyError, AttributeError, ValueError, TypeError, IndexError) as error:
        raise ModelRefused(str(folder / MODEL), f"its parts do not fit together ({error})", _REMEDY) from error
    _check_golden(folder, kernel, contents[GOLDEN], card)
    policy = Policy.from_json(contents[POLICY].decode())
    reference = TrainingReference.from_json(contents[REFERENCE].decode())
    return OpenModel(kernel, policy, reference, card["files"][MODEL], card)


def _read_card(folder: Path, max_bytes: int) -> dict[str, Any]:
    path = folder / CARD
    try:
        card = json.loads(_read(path, max_bytes))
        if not isinstance(card, dict) or card.keys() != _CARD_FIELDS or not isinstance(card["files"], dict):
            raise ValueError("unknown or missing fields")
    except (ValueError, RecursionError) as error:
        raise ModelRefused(str(path), f"not a model card ({error})", _REMEDY) from error
    stated = card.pop("card_sha256")
    if stated != _card_digest(card):
        raise ModelRefused(str(path), "it was edited: its digest does not match", _REMEDY)
    if card["schema_version"] != 1 or card["kernel_version"] != KERNEL_VERSION:
        raise ModelRefused(
            str(folder),
            f"made for kernel version {card['kernel_version']}; this is version {KERNEL_VERSION}",
            "Train it again with this version.",
        )
    return card


def _check_golden(folder: Path, kernel: Kernel, data: bytes, card: Mapping[str, Any]) -> None:
    try:
        rows = [GoldenRow(str(row["text"]), int(row["score_ppm"])) for row in json.loads(data)]
    except (ValueError, TypeError, KeyError) as error:
        raise ModelRefused(str(folder / GOLDEN), f"not golden rows ({error})", _REMEDY) from error
    difference = first_difference(kernel, rows)
    if difference is not None:
        row, score = difference
        raise ModelRefused(
            str(folder),
            f"golden text {row.text[:40]!r} scores {score} here and {row.score_ppm} where it was trained",
            f"It was trained with {card['versions']}; install the same versions, or train it again.",
        )


def _read_verified(path: Path, expected: str | None, max_bytes: int) -> bytes:
    data = _read(path, max_bytes)
    if _sha256(data) != expected:
        raise ModelRefused(str(path), "its SHA-256 is not the card's: truncated or edited", _REMEDY)
    return data


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ModelRefused(
            str(path), error.strerror or str(error), "Name a folder written by `moderation train`."
        ) from error
    if len(data) > max_bytes:
        raise ModelRefused(
            str(path), f"larger than {max_bytes} bytes", "Raise MODERATION_MODEL_MAX_BYTES if it is right."
        )
    return data


def _card_digest(card: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(card, sort_keys=True).encode())


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
