"""Follow the alias ``production``: verify its version and swap models between batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from moderation.adapters.override import Override
from moderation.errors import (
    ConfigurationError,
    ModelRefused,
    ModerationError,
    NotInRegistry,
    RegistryRefused,
    RegistryUnavailable,
)
from moderation.timestamps import now_us
from stream.worker import metrics
from stream.worker.messages import ServingModel
from stream.worker.metrics import RegistryState

_log = logging.getLogger(__name__)

FIRST_START = (
    "no version has the alias production, and none has decided yet; `moderation bootstrap`, or DAG bootstrap_model, "
    "starts without labelled comments, `moderation train --register` with a file of them"
)
"""What a worker waits for in a new system, and how an operator ends that."""

Resolve = Callable[[], str | None]
Open = Callable[[str], ServingModel]
OpenFirst = Callable[[], ServingModel | None]
Keep = Callable[[str], None]
OverrideOf = Callable[[str], Override | None]


def _none() -> None:
    return None


def _keep_nothing(version: str) -> None:
    return None


def _no_override(version: str) -> None:
    return None


class ModelWatch:
    """Follows the alias in a thread of its own; the hot path only reads ``model``.

    Each change of the registry's state is logged once and shown in ``moderation_registry_state``. The model continues
    to serve in every state.

    Args:
        resolve: returns the current version of the alias; None without one.
        open_version: downloads, verifies and opens a version; raises ``ModelRefused`` if it must not serve.
        poll_seconds: interval of calls of ``resolve``.
        open_first: opens the model to start with if the alias names none that may serve; None if there is none.
        before_swap: called before an opened version serves; a fault point of chaos runs.
        again_seconds: time until a refused version with the alias is opened again: an operator may have certified it
            or allowed it by override.
        keep: stores the version that serves, for workers that start without the registry; called again after an error.
        override_of: returns the override by which a version may serve now; None if it has a certificate. It raises
            ``ModelRefused`` if it has neither.
        clock: time in microseconds since the epoch.
    """

    def __init__(
        self,
        resolve: Resolve,
        open_version: Open,
        poll_seconds: float,
        open_first: OpenFirst = _none,
        before_swap: Callable[[], None] = _none,
        again_seconds: float = 60.0,
        keep: Keep = _keep_nothing,
        override_of: OverrideOf = _no_override,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._resolve = resolve
        self._open = open_version
        self._poll_seconds = poll_seconds
        self._open_first = open_first
        self._before_swap = before_swap
        self._again_seconds = again_seconds
        self._keep = keep
        self._override_of = override_of
        self._clock = clock
        self._override_again_at = 0.0
        self._again_at = 0.0
        self._keep_again_at = 0.0
        self._model: ServingModel | None = None
        self._not_kept: str | None = None
        self._refused: str | None = None
        self._refusal: ModerationError | None = None
        self._state = RegistryState.FOLLOWED
        self._start_state = ""
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

    @property
    def registry_state(self) -> RegistryState:
        """What the last poll of the registry found."""
        return self._state

    def start(self) -> None:
        """Wait for a first model, then follow the alias.

        If the registry is not available, the alias is not set, or its version must not serve, the first model is the
        one that served last.

        Raises:
            ModelRefused: the version of the alias must not serve, and there is no older model.
            RegistryRefused: the account may not read the registry, and there is no older model.
            ConfigurationError: the registry does not accept the account, and there is no older model.
        """
        while self._model is None:
            self._poll()
            if self._model is None:
                self._take_first()
            if self._model is None:
                if self._refusal is not None:
                    raise self._refusal
                self._stop.wait(self._poll_seconds)
        self._thread.start()

    def stop(self) -> None:
        """Stop following the alias; ``model`` stays."""
        self._stop.set()

    def _follow(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            try:
                self._poll()
                self._check_override()
                self._keep_serving()
            except Exception:
                # An unexpected error must not end the thread; the old model continues to serve.
                _log.exception("looking for the production model failed")

    def _poll(self) -> None:
        """Poll once; one version is opened at a time."""
        version = None
        try:
            version = self._resolve()
            if version is None:
                self._enter(RegistryState.NO_ALIAS, "no version of the registered model has the alias production")
                return
            if version == self._refused and time.monotonic() < self._again_at:
                return
            if self._model is None or self._model.model_version != version:
                self._swap(self._open(version))
            self._refused = self._refusal = None
            self._enter(RegistryState.FOLLOWED, f"the alias production names version {version}, which serves")
        except RegistryUnavailable as error:
            self._enter(RegistryState.NO_ANSWER, str(error))
        except (RegistryRefused, ConfigurationError) as error:
            self._enter(RegistryState.NO_ANSWER, str(error))
            self._refusal = error
        except NotInRegistry as error:
            self._enter(RegistryState.NO_VERSION, str(error))
        except ModelRefused as error:
            self._refused, self._refusal = version, error
            self._again_at = time.monotonic() + self._again_seconds
            metrics.MODEL_REFUSALS.labels(version or "").inc()
            _log.error("refused version %s; the old model, if any, continues to serve: %s", version, error)
            self._enter(RegistryState.REFUSED)

    def _enter(self, state: RegistryState, finding: str = "") -> None:
        """Show a state; log the finding if the state is another one than before."""
        if state is not RegistryState.REFUSED:
            self._refusal = None
        metrics.show_registry_state(state)
        if state is self._state:
            return
        self._state = state
        if state is RegistryState.FOLLOWED:
            _log.info("%s", finding)
        elif finding:
            serving = (
                f"version {self._model.model_version} continues to serve" if self._model else "no model serves yet"
            )
            _log.warning("%s; %s", finding.rstrip("."), serving)

    def _take_first(self) -> None:
        try:
            first = self._open_first()
        except ModerationError as error:
            self._tell_start(f"the model that served before cannot serve: {error}")
            return
        if first is None:
            is_new = self._state is RegistryState.NO_ALIAS
            self._tell_start(
                f"waiting: {FIRST_START}" if is_new else "waiting for the registry to name a model version"
            )
            return
        _log.warning("continuing with version %s, which served before", first.model_version)
        self._swap(first)

    def _tell_start(self, text: str) -> None:
        """Log what the start waits for, once for each text."""
        if text != self._start_state:
            _log.warning("%s", text)
        self._start_state = text

    def _check_override(self) -> None:
        """While a version serves by override: end that at its end, and look once a minute whether it changed."""
        model = self._model
        if model is None or model.override is None:
            return
        is_over = self._clock() >= model.override.until_us
        if time.monotonic() < self._override_again_at and (model.is_override_over or not is_over):
            return
        self._override_again_at = time.monotonic() + self._again_seconds
        try:
            override = self._override_of(model.model_version)
            if override is None:
                self._swap(self._open(model.model_version))  # it was certified meanwhile
            elif override != model.override or model.is_override_over:
                self._swap(replace(model, override=override, is_override_over=False))
        except ModelRefused as error:
            self._end_override(model, str(error))
        except (RegistryUnavailable, RegistryRefused, ConfigurationError):
            if is_over:
                self._end_override(model, f"its override has ended: {model.override}")

    def _end_override(self, model: ServingModel, cause: str) -> None:
        """Serve the last certified version again; without one the model serves on, because moderation must not stop."""
        certified = None
        try:
            certified = self._open_first()
        except ModerationError as error:
            cause = f"{cause.rstrip('.')}; {error}"
        if certified is not None and certified.model_version != model.model_version:
            _log.error("version %s serves no longer by override: %s", model.model_version, cause)
            self._refused = model.model_version
            self._again_at = time.monotonic() + self._again_seconds
            metrics.MODEL_REFUSALS.labels(model.model_version).inc()
            self._swap(certified)
            self._enter(RegistryState.REFUSED)
        elif not model.is_override_over:
            _log.error(
                "version %s has no override any more and serves on, because no certified version can be opened. "
                "Promote a certified version, or extend the override with `moderation override`. %s",
                model.model_version,
                cause,
            )
            self._model = replace(model, is_override_over=True)
            metrics.SERVING_OVERRIDE.set(2)

    def _keep_serving(self) -> None:
        """Store the version that serves; after an error try again a minute later."""
        if self._not_kept is None or time.monotonic() < self._keep_again_at:
            return
        try:
            self._keep(self._not_kept)
            self._not_kept = None
        except (ModerationError, OSError) as error:
            self._keep_again_at = time.monotonic() + self._again_seconds
            _log.warning("version %s is not stored for workers without the registry: %s", self._not_kept, error)

    def _swap(self, model: ServingModel) -> None:
        self._before_swap()
        self._model = model
        self._not_kept, self._keep_again_at = model.model_version, 0.0
        metrics.MODEL_SWAPS.inc()
        metrics.SERVING_MODEL.clear()
        metrics.SERVING_MODEL.labels(model.model_version).set(1)
        metrics.SERVING_OVERRIDE.set(0 if model.override is None else 1)
        self._override_again_at = time.monotonic() + self._again_seconds
        _log.info("model version %s serves from the next batch", model.model_version)
