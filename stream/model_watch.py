"""Which model decides: the version behind the alias ``production``, verified, swapped between batches."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from moderation.errors import ModelRefused, RegistryUnavailable
from stream.processor import ServingModel

_log = logging.getLogger(__name__)

Resolve = Callable[[], str | None]
Open = Callable[[str], ServingModel]


class ModelWatch:
    """Follows an alias in a thread of its own; the hot path only reads ``model``.

    Args:
        resolve: the version number the alias names now; None if it names none.
        open_version: downloads, verifies and opens a version; raises ``ModelRefused`` for one that must not serve.
        poll_seconds: how often ``resolve`` is asked.
    """

    def __init__(self, resolve: Resolve, open_version: Open, poll_seconds: float) -> None:
        self._resolve = resolve
        self._open = open_version
        self._poll_seconds = poll_seconds
        self._model: ServingModel | None = None
        self._refused: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="model-watch", daemon=True)

    @property
    def model(self) -> ServingModel:
        """The model to decide with now; read it once per batch."""
        if self._model is None:
            raise RuntimeError("no model yet: start() waits for one")
        return self._model

    def start(self) -> None:
        """Wait for a first model, then follow the alias.

        Raises:
            ModelRefused: the alias names a version that must not serve, and there is no older one to go on with.
        """
        waited = False
        while self._model is None:
            if not self._look(first=True):
                if not waited:
                    _log.warning("waiting for a model version with the alias production")
                    waited = True
                self._stop.wait(self._poll_seconds)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; ``model`` stays."""
        self._stop.set()

    def _follow(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            self._look(first=False)

    def _look(self, first: bool) -> bool:
        try:
            version = self._resolve()
            if version is None or version == self._refused:
                return False
            if self._model is not None and self._model.model_version == version:
                return True
            self._model = self._open(version)
            _log.info("model version %s serves from the next batch", version)
            return True
        except RegistryUnavailable as error:
            _log.warning("%s", error)
        except ModelRefused as error:
            if first:
                raise
            self._refused = version
            _log.error("refused, the old model serves on: %s", error)
        return False
