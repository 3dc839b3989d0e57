"""Judge and certify a version while no trained version serves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from moderation.adapters.model_folder.folder import METRICS, open_model
from moderation.adapters.registry.certificate import GateEvidence
from moderation.adapters.registry.registry import ModelVersion, Registry
from moderation.errors import GateStopped
from moderation.policy import Lowering
from moderation.text import Lexicon
from moderation.timestamps import now_us
from moderation.training.first_gate import FirstLimits, judge_first

REPORT = "gate.json"
"""Artifact of the version's run, as the gate of a retraining writes it."""


def certify_first(models: Registry, version: ModelVersion, folder: Path, lexicon: Lexicon, max_bytes: int) -> None:
    """Judge a registered version by its out-of-fold measurements; certify it with the verdict ``first version``.

    Limits and figures are artifact ``gate.json`` of its run.

    Args:
        models: the registry.
        version: as it was registered.
        folder: its model folder.
        lexicon: shared lexicon of the process.
        max_bytes: size limit of a file.

    Raises:
        GateStopped: a criterion speaks against it; its tags have the reasons.
        ModelRefused: the folder, or its copy in the registry, does not verify.
    """
    limits = asdict(FirstLimits())
    card = open_model(folder, lexicon, max_bytes).card
    lowered = [Lowering(**each) for each in card["training"].get("goals_lowered", [])]
    judged = judge_first(json.loads((folder / METRICS).read_bytes()), lowered)
    report = {
        "version": version.version,
        "production": None,
        "is_passed": judged.is_passed,
        "state": judged.state,
        "reasons": list(judged.reasons),
        "figures": dict(judged.figures),
        "intervals": {name: asdict(interval) for name, interval in judged.intervals.items()},
        "limits": limits,
    }
    content = json.dumps(report, indent=2, sort_keys=True).encode()
    models.run_artifacts.attach(version.run_id, {REPORT: content})
    if not judged.is_passed:
        models.note_gate(version, judged.state, judged.reasons)
        raise GateStopped(
            str(version),
            f"it is registered, but neither certified nor given an alias: {'; '.join(judged.reasons)}",
            "Train it on more comments, or on comments whose labels follow from the text.",
        )
    evidence = GateEvidence("first version", limits, hashlib.sha256(content).hexdigest(), now_us())
    models.certify(version, lexicon, max_bytes, gate=evidence)
