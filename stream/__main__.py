"""``python -m stream worker …``: the Faust command line of the speed layer; ``… source …``: the timer source."""

from __future__ import annotations

import sys

from moderation.bootstrap import production_model
from moderation.errors import ModerationError
from moderation.settings import load_settings
from stream.exit_codes import REFUSED
from stream.model_watch import ModelWatch
from stream.processor import ServingModel
from stream.source.command import main as source
from stream.worker import worker_app


def main() -> None:
    """Hand over to the source's command line, or build the worker's app and hand over to Faust's own."""
    if sys.argv[1:2] == ["source"]:
        source(sys.argv[2:])
        return
    settings = load_settings()
    resolve, open_version = production_model(settings)

    def serving(version: str) -> ServingModel:
        opened = open_version(version)
        return ServingModel(opened.kernel, opened.policy, version)

    worker_app(settings, ModelWatch(resolve, serving, settings.alias_poll_seconds)).main()


if __name__ == "__main__":
    try:
        main()
    except ModerationError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - nothing is set up to log with yet
        raise SystemExit(REFUSED) from None
