"""Values of ``moderation compare --with``: registered versions, model folders, and estimators of the user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.errors import ConfigurationError, NotInRegistry

if TYPE_CHECKING:
    from moderation.settings import Settings
    from moderation.text import Lexicon
    from moderation.training.benchmark.baselines import ModelSpec

_VERSION = re.compile(r"(?:models:/(?P<name>[^/@]+)(?:/(?P<number>\d+)|@(?P<alias>[\w-]+)))|(?P<short>\d+)")
_REMEDY = (
    "Name a version (3, models:/NAME/3 or models:/NAME@production), a folder of `moderation train`, or an estimator of "
    "your own as MODULE:CALLABLE."
)


def names_version(text: str) -> bool:
    """Whether a value names a registered version, so that the registry is needed."""
    return _VERSION.fullmatch(text) is not None


def compared_models(values: Sequence[str], settings: Settings, lexicon: Lexicon) -> list[ModelSpec]:
    """Return the models that the values name, in order.

    Args:
        values: values of ``--with``.
        settings: name the registry, if a value names a version.
        lexicon: shared lexicon of the process.

    Raises:
        ConfigurationError: a value names nothing, or two values name the same model.
        ModelRefused: a version or folder does not verify.
        RegistryUnavailable: the registry does not answer.
    """
    from moderation.training.benchmark.own_estimators import NAMED, own_estimator

    specs: list[ModelSpec] = []
    for value in values:
        if names_version(value):
            spec = _registered(value, settings, lexicon)
        elif NAMED.fullmatch(value) and not Path(value).exists():
            spec = own_estimator(value)
        elif Path(value).is_dir():
            from moderation.adapters.compared_models import folder_model

            spec = folder_model(Path(value), lexicon, settings.model_max_bytes)
        else:
            raise ConfigurationError(
                f"--with {value}", "it is neither a version, nor a folder, nor MODULE:CALLABLE", _REMEDY
            )
        if spec.name in (each.name for each in specs):
            raise ConfigurationError(f"--with {value}", f"{spec.title} is named twice", "Name it once.")
        specs.append(spec)
    return specs


def _registered(value: str, settings: Settings, lexicon: Lexicon) -> ModelSpec:
    from moderation.adapters.compared_models import registered_model
    from moderation.bootstrap import registry

    named = _VERSION.fullmatch(value)
    assert named is not None  # noqa: S101 - checked by the caller
    if named["name"]:
        settings = settings.model_copy(update={"model_name": named["name"]})
    models = registry(settings)
    if named["alias"]:
        version = models.resolve(named["alias"])
        if version is None:
            raise NotInRegistry(value, f"{settings.model_name} has no alias {named['alias']}", _REMEDY)
    else:
        version = models.version(named["number"] or named["short"])
    return registered_model(models, version, lexicon, settings.model_max_bytes, settings.state_folder / "models")
