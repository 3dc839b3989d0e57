"""Follow the alias ``production``: verify its version and swap models between batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from moderation.errors import ModelRefused, RegistryUnavailable
from stream.worker import metrics
from stream.worker.messages import ServingModel

_log = logging.getLogger(__name__)

Resolve = Callable[[], str | None]
Open = Callable[[str], ServingModel]
OpenLastGood = Callable[[], ServingModel | None]


def _none() -> None:
    return None


class ModelWatch:
    """Follows the alias in a thread of its own; the hot path only reads ``model``.

    Args:
        resolve: returns the current version of the alias; None without one.
        open_version: downloads, verifies and opens a version; raises ``ModelRefused`` if it must not serve.
        poll_seconds: interval of calls of ``resolve``.
        open_last_good: opens and verifies the model that served last on this machine; None without one.
        before_swap: called before an opened version serves; a fault point of chaos runs.
        again_seconds: time until a refused version with the alias is opened again: an operator may have certified it
            or allowed it by override.
    """

    def __init__(
        self,
        resolve: Resolve,
        open_version: Open,
        poll_seconds: float,
        open_last_good: OpenLastGood = _none,
        before_swap: Callable[[], None] = _none,
        again_seconds: float = 60.0,
    ) -> None:
        self._resolve = resolve
        self._open = open_version
        self._poll_seconds = poll_seconds
        self._open_last_good = open_last_good
        self._before_swap = before_swap
        self._again_seconds = again_seconds
        self._again_at = 0.0
        self._model: ServingModel | None = None
        self._refused: str | None = None
        self._refusal: ModelRefused | None = None
        self._away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="model-watch", daemon=True)

    @property
    def model(self) -> ServingModel:
        """The model to decide with; read it once per batch."""
        if self._model is None:
            raise RuntimeError("no model yet: start() waits for one")
        return self._model

    @property
    def model_or_none(self) -> ServingModel | None:
        """The model to decide with; None before the first one."""
        return self._model

    def start(self) -> None:
        """Wait for a first model, then follow the alias.

        If the registry is not available, or the version of the alias must not serve, the first model is the one that
        served last on this machine.

        Raises:
            ModelRefused: the version of the alias must not serve, and there is no older model.
        """
        waited = False
        while self._model is None:
            self._poll()
            if self._model is None:
                self._take_last_good()
            if self._model is None:
                if self._refusal is not None:
                    raise self._refusal
                if not waited:
                    _log.warning("waiting for a model version with the alias production")
                    waited = True
                self._stop.wait(self._poll_seconds)
        self._thread.start()

    def stop(self) -> None:
        """Stop following the alias; ``model`` stays."""
        self._stop.set()

    def _follow(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            try:
                self._poll()
            except Exception:
                # An unexpected error must not end the thread; the old model continues to serve.
                _log.exception("looking for the production model failed")

    def _poll(self) -> None:
        """Poll once; one version is opened at a time."""
        version = None
        try:
            version = self._resolve()
            self._away = False
            if version is None or (version == self._refused and time.monotonic() < self._again_at):
                return
            if self._model is not None and self._model.model_version == version:
                self._refused = None
                return
            opened = self._open(version)
            self._refused = self._refusal = None
            self._swap(opened)
        except RegistryUnavailable as error:
            if not self._away:
                _log.warning("%s", error)
            self._away = True
        except ModelRefused as error:
            self._refused, self._refusal = version, error
            self._again_at = time.monotonic() + self._again_seconds
            metrics.MODEL_REFUSALS.labels(version or "").inc()
            _log.error("refused version %s; the old model, if any, continues to serve: %s", version, error)

    def _take_last_good(self) -> None:
        try:
            last_good = self._open_last_good()
        except ModelRefused as error:
            _log.error("the model served last cannot serve: %s", error)
            return
        if last_good is not None:
            _log.warning("continuing with version %s, which served last on this machine", last_good.model_version)
            self._swap(last_good)

    def _swap(self, model: ServingModel) -> None:
        self._before_swap()
        self._model = model
        metrics.MODEL_SWAPS.inc()
        metrics.SERVING_MODEL.clear()
        metrics.SERVING_MODEL.labels(model.model_version).set(1)
        _log.info("model version %s serves from the next batch", model.model_version)
