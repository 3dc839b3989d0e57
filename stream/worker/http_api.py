"""HTTP API of the worker: health, readiness, serving model, lag, scoring, windows.

GET  /health   200 while the process works; the watchdog ends a process that does not
GET  /ready    200 once a model serves, partitions are assigned and the published topics exist, else 503; "registry"
               names what the last poll of the registry found and does not change the status. Without the token it has
               "ready" only
GET  /model    versions and thresholds of the serving model
GET  /lag      waiting records by partition, and records a second
POST /score    {"text": "…"}: score a text with the serving model; nothing is stored
GET  /windows  the newest hours; ?community=NAME&most=N

Every other request needs the token, if there is one, and counts for the rate (:mod:`stream.worker.http_access`). /score
and /windows have further limits (:mod:`stream.worker.http_limits`); 413 and 429 name the limit and its setting.
"""

from __future__ import annotations

from typing import Any, Protocol

import faust
import orjson
from faust.web import View

from moderation.contracts import MAX_BODY_CHARACTERS
from moderation.errors import ModerationError, TopicsMissing
from stream.worker.estimated_work import estimated_work_us
from stream.worker.http_access import shows_details
from stream.worker.http_limits import TOO_LARGE, Refusal, ViewLimits
from stream.worker.messages import ServingModel
from stream.worker.watchdog import Progress
from stream.worker.what_if import WhatIf

_MOST_WINDOWS = 500


class WorkerStatus(Protocol):
    """State of a worker that the views show."""

    @property
    def model(self) -> ServingModel | None:
        """The serving model; None before the first one."""

    @property
    def is_assigned(self) -> bool:
        """Whether partitions are assigned and no rebalance is under way."""

    @property
    def missing_topics(self) -> tuple[str, ...]:
        """Missing published topics."""

    @property
    def registry_state(self) -> str:
        """What the last poll of the registry found, a ``RegistryState``."""

    @property
    def progress(self) -> Progress:
        """Lag and speed."""

    def windows(self, community: str | None, most: int) -> list[dict[str, Any]]:
        """Return the newest hours; may raise ``ModerationError``. Called in a thread."""


def add_views(app: faust.App, worker: WorkerStatus, limits: ViewLimits) -> None:
    """Add the views to the worker's web server."""
    what_if = WhatIf()

    @app.page("/health", name="health")
    async def health(view: View, request: Any) -> Any:
        return view.json({"status": "ok"})

    @app.page("/ready", name="ready")
    async def ready(view: View, request: Any) -> Any:
        missing = [
            name
            for name, there in (("model", worker.model is not None), ("partitions", worker.is_assigned))
            if not there
        ]
        registry = str(worker.registry_state)
        answer: dict[str, Any] = {"ready": not missing, "missing": missing, "registry": registry}
        answer["override"] = override_fields(worker.model)
        if topics := worker.missing_topics:
            answer |= {"ready": False, "missing": [*missing, "topics"], "reason": str(TopicsMissing(list(topics)))}
        if not shows_details(request):
            answer = {"ready": answer["ready"]}
        return view.json(answer, status=200 if answer["ready"] else 503)

    @app.page("/model", name="model")
    async def model(view: View, request: Any) -> Any:
        serving = worker.model
        if serving is None:
            return view.error(503, "no model serves yet")
        versions = serving.versions
        return view.json(
            {
                "model_version": versions.model_version,
                "policy_version": versions.policy_version,
                "kernel_version": versions.kernel_version,
                "review_ppm": serving.policy.review_ppm,
                "remove_ppm": serving.policy.remove_ppm,
                "override": override_fields(serving),
            }
        )

    @app.page("/lag", name="lag")
    async def lag(view: View, request: Any) -> Any:
        progress = worker.progress
        return view.json(
            {
                "lag": {str(partition): count for partition, count in sorted(progress.lag.items())},
                "records": sum(progress.lag.values()),
                "per_second": round(progress.per_second, 1),
            }
        )

    @app.page("/windows", name="windows")
    async def windows(view: View, request: Any) -> Any:
        try:
            most = int(request.query.get("most", "24"))
        except ValueError:
            most = 0
        if not 1 <= most <= _MOST_WINDOWS:
            return view.error(400, f"most must be a whole number from 1 to {_MOST_WINDOWS}")
        community = request.query.get("community")
        try:
            return view.json({"windows": await limits.run("windows", lambda: worker.windows(community, most))})
        except Refusal as refusal:
            return view.error(refusal.status, refusal.reason)
        except ModerationError as error:
            return view.error(503, str(error))

    @app.page("/score", name="score")
    class Score(View):
        """Scores a text."""

        async def post(self, request: Any, **_: Any) -> Any:
            """Score one text with the serving model."""
            serving = worker.model
            if serving is None:
                return self.error(503, "no model serves yet")
            try:
                limits.check_size(request.content_length)
                text = _text(await request.read())
                limits.check_work(estimated_work_us(text.encode()))
                return self.json(await limits.run("score", lambda: what_if.answer(serving, text)))
            except Refusal as refusal:
                return self.error(refusal.status, refusal.reason)


def override_fields(model: ServingModel | None) -> dict[str, Any] | None:
    """Return the override by which a model serves without certificate; None with a certificate, or without a model."""
    if model is None or model.override is None:
        return None
    override = model.override
    return {"reason": override.reason, "until_us": override.until_us, "is_over": model.is_override_over}


def _text(body: bytes) -> str:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    text = fields.get("text") if isinstance(fields, dict) else None
    if not isinstance(text, str):
        raise Refusal(400, 'send {"text": "…"}')
    if len(text) > MAX_BODY_CHARACTERS:
        raise Refusal(TOO_LARGE, f"the text has {len(text)} characters, at most {MAX_BODY_CHARACTERS}")
    return text
