"""Model folders for tests of the registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from moderation.adapters.model_folder.folder import save_model
from moderation.adapters.registry import GateEvidence
from moderation.adapters.registry.keys import CertificateKeys, encode
from moderation.policy import Policy
from moderation.scoring import ModerationPipeline
from moderation.training.metrics import Metrics
from tests.support.naughty import NAUGHTY_TEXTS
from tests.support.reference import REFERENCE

KEYS = CertificateKeys.parse(signing=encode(b"k" * 32), verify=None)
OTHER_KEYS = CertificateKeys.parse(signing=encode(b"o" * 32), verify=None)
GATE = GateEvidence("passed")
MAX_BYTES = 64 * 1024 * 1024
POLICY = Policy(400_000, 900_000, ("recall>=0.8",))
TEXTS = NAUGHTY_TEXTS[:64]
_METRICS = Metrics(0.9, (0.88, 0.92), 0.9, 0.8, 0.1, 0.02, 0.7, 100, 30)
_TRAINING = {"data_digest": "d" * 64, "seed": 7, "folds": 2}


def make_folder(folder: Path, pipeline: ModerationPipeline, policy: Policy, *, auc: float = 0.9) -> Path:
    """Write a model folder as training does, with a plot; its measurements state this AUC."""
    save_model(folder, pipeline, policy, replace(_METRICS, auc_mean=auc), REFERENCE, _TRAINING)
    (folder / "plots").mkdir()
    (folder / "plots" / "roc.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    return folder
