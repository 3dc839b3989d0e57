"""``python -m stream worker``: the worker with Faust's options; ``python -m stream source``: the traffic source."""

from __future__ import annotations

import sys

import faust

from moderation.adapters.model_folder.folder import OpenModel
from moderation.bootstrap import production_model
from moderation.errors import ConfigurationError, ModerationError
from moderation.settings import Settings, load_settings
from stream.exit_codes import worker_exit_code
from stream.logs import faust_level
from stream.worker.app import worker_app
from stream.worker.fault_points import FaultPoints
from stream.worker.messages import ServingModel
from stream.worker.model_watch import ModelWatch


def main() -> None:
    """Run the command line of the source, or build the worker's app and run Faust's command line."""
    if sys.argv[1:2] == ["source"]:
        try:
            from stream.source.cli import main as source
        except ModuleNotFoundError as error:
            remedy = "Run the source in the image comment-moderation-source, or in a checkout after `make setup`."
            cause = "this installation of comment-moderation does not contain it"
            raise ConfigurationError(f"module {error.name}", cause, remedy) from error
        source(sys.argv[2:])
        return
    settings = load_settings()
    sys.argv += ["--loglevel", faust_level(settings.log_level)]
    new_worker(settings).main()


def new_worker(settings: Settings) -> faust.App:
    """Build the worker's app from its parts.

    Raises:
        ConfigurationError: a setting that has no default is missing.
    """
    production = production_model(settings)
    faults = FaultPoints(settings.fault_points)

    def serving(version: str, opened: OpenModel) -> ServingModel:
        return ServingModel(
            opened.kernel,
            opened.policy,
            version,
            opened.exploration_key,
            opened.override,
            model_digest=opened.model_digest,
        )

    def first() -> ServingModel | None:
        first = production.open_first()
        return None if first is None else serving(*first)

    watch = ModelWatch(
        production.resolve,
        lambda version: serving(version, production.open_version(version)),
        settings.alias_poll_seconds,
        first,
        lambda: faults.trigger("during_swap"),
        keep=production.keep,
        override_of=production.override_of,
    )
    return worker_app(settings, watch, faults)


if __name__ == "__main__":
    try:
        main()
    except ModerationError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
        raise SystemExit(worker_exit_code(error)) from None
