"""``python -m stream worker …``: the Faust command line of the speed layer; ``… source …``: the timer source."""

from __future__ import annotations

import sys

import faust

from moderation.adapters.model_folder.folder import OpenModel
from moderation.bootstrap import production_model
from moderation.errors import ModerationError
from moderation.settings import Settings, load_settings
from stream.exit_codes import worker_exit_code
from stream.logs import faust_level
from stream.source.cli import main as source
from stream.worker.app import worker_app
from stream.worker.fault_points import FaultPoints
from stream.worker.messages import ServingModel
from stream.worker.model_watch import ModelWatch


def main() -> None:
    """Hand over to the source's command line, or build the worker's app and hand over to Faust's own."""
    if sys.argv[1:2] == ["source"]:
        source(sys.argv[2:])
        return
    settings = load_settings()
    sys.argv += ["--loglevel", faust_level(settings.log_level)]
    new_worker(settings).main()


def new_worker(settings: Settings) -> faust.App:
    """The worker's app with its parts put together.

    Raises:
        ConfigurationError: a setting that has no default is missing.
    """
    production = production_model(settings)
    faults = FaultPoints(settings.fault_points)

    def serving(version: str, opened: OpenModel) -> ServingModel:
        return ServingModel(opened.kernel, opened.policy, version)

    def last_good() -> ServingModel | None:
        last_good = production.open_last_good()
        return None if last_good is None else serving(*last_good)

    watch = ModelWatch(
        production.resolve,
        lambda version: serving(version, production.open_version(version)),
        settings.alias_poll_seconds,
        last_good,
        lambda: faults.trigger("during_swap"),
    )
    return worker_app(settings, watch, faults)


if __name__ == "__main__":
    try:
        main()
    except ModerationError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - nothing is set up to log with yet
        raise SystemExit(worker_exit_code(error)) from None
