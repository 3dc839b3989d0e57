"""The model registry in MLflow: register, certify, alias and open model versions."""

from moderation.adapters.registry.certificate import GateEvidence
from moderation.adapters.registry.registry import ModelVersion, Registry

__all__ = ["GateEvidence", "ModelVersion", "Registry"]
