"""The model registry: MLflow, seen as versions that are certified or refused."""

from moderation.adapters.registry.client import NotInRegistry
from moderation.adapters.registry.registry import ModelVersion, Registry

__all__ = ["ModelVersion", "NotInRegistry", "Registry"]
