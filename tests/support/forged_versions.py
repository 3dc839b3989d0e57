"""Forged model versions that must not serve: the forger can write the registry's files and has the signing key."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from moderation.adapters.model_folder.folder import CARD, METRICS, MODEL, POLICY
from moderation.adapters.registry.certificate import Certificate, GateEvidence, tags_of
from moderation.adapters.registry.keys import SigningKey

CARD_DIGEST = "card_sha256"


def stored_folder(stack: StackInfo, name: str, version: str) -> Path:
    """Return the model folder of a version on the server's disk."""
    source = MlflowClient(stack.mlflow_url).get_model_version(name, version).source
    scheme, _, path = str(source).partition(":/")
    assert scheme == "mlflow-artifacts"
    return StackLayout(stack.root).mlflow / "artifacts" / path / "data" / "model"


def damage_model(stack: StackInfo, name: str, version: str) -> None:
    """Damage the model file of a version on the server's disk."""
    file = stored_folder(stack, name, version) / MODEL
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def restate(folder: Path, **changes: Any) -> None:
    """Update the model card after files were replaced; change the given fields."""
    card = json.loads((folder / CARD).read_bytes())
    del card[CARD_DIGEST]
    card |= changes
    card["files"] = {name: _sha256((folder / name).read_bytes()) for name in card["files"]}
    card[CARD_DIGEST] = _sha256(json.dumps(card, sort_keys=True).encode())
    (folder / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")


def certify_again(client: MlflowClient, name: str, version: str, folder: Path, key: SigningKey) -> None:
    """Sign the current content of the folder."""
    card = json.loads((folder / CARD).read_bytes())
    certificate = Certificate(
        model_name=name,
        version=version,
        card_digest=_sha256((folder / CARD).read_bytes()),
        model_digest=card["files"][MODEL],
        policy_digest=card["files"][POLICY],
        metrics_digest=card["files"][METRICS],
        kernel_version=str(card["kernel_version"]),
        policy_version=json.loads((folder / POLICY).read_bytes())["policy_version"],
        data_digest=str(card["training"]["data_digest"]),
        gate=GateEvidence("passed"),
    )
    for tag, value in tags_of(certificate, key).items():
        client.set_model_version_tag(name, version, tag, value)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
