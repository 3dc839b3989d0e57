"""Translate the import error of a part that is not installed into a message with a remedy."""

from __future__ import annotations

from moderation.errors import ConfigurationError

_OWN = frozenset({"batch", "grafana", "local", "moderation", "stream"})
"""Packages of this project of which an image may contain only a part."""


def is_missing_part(error: Exception) -> bool:
    """Whether a package is not installed, or lacks an optional part, as ``mlflow-skinny`` does.

    A name that cannot be imported from a module of this project is a defect instead.
    """
    if isinstance(error, ModuleNotFoundError):
        return True
    return isinstance(error, ImportError) and (error.name or "").partition(".")[0] not in _OWN


def missing_part(error: ImportError) -> ConfigurationError:
    """Return the error to show when a command needs a module that is not installed.

    Images contain only the parts that their processes need: the worker's has no traffic source, fault injection,
    benchmarks or plots.

    Args:
        error: as raised by the import.
    """
    name = error.name or str(error)
    if name.partition(".")[0] in _OWN:
        return ConfigurationError(
            f"module {name}",
            "this installation of comment-moderation does not contain it",
            "Run the command in the image comment-moderation-batch, for `source` and `replay` in "
            "comment-moderation-source, or in a checkout after `make setup`.",
        )
    is_partial = not isinstance(error, ModuleNotFoundError)
    return ConfigurationError(
        f"package {name.splitlines()[0]}",
        "the command needs a part of it that is not installed"
        if is_partial
        else "the command needs it and it is not installed",
        "Run the command in the image comment-moderation-batch, or install the project with its extras "
        "(`plots` for matplotlib, `batch`, `stream`, `local`), as `make setup` does.",
    )
