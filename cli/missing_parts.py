"""Translate the import error of a part that is not installed into a message with a remedy."""

from __future__ import annotations

from moderation.errors import ConfigurationError

_OWN = frozenset({"batch", "grafana", "local", "moderation", "stream"})
"""Packages of this project of which an image may contain only a part."""


def missing_part(error: ModuleNotFoundError) -> ConfigurationError:
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
    return ConfigurationError(
        f"package {name}",
        "the command needs it and it is not installed",
        "Run the command in the image comment-moderation-batch, or install the project with its extras "
        "(`plots` for matplotlib, `batch`, `stream`, `local`), as `make setup` does.",
    )
