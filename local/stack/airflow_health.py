"""Health of the parts of Airflow as its api-server reports it; the other parts have no port."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from local.stack.ports import HOST

_ANSWER_SECONDS = 5.0
_OK = 200
_HEALTHY = "healthy"


def answers(port: int) -> bool:
    """Whether the api-server on ``port`` answers and reaches its database."""
    return bool(_health(port).get("metadatabase", {}).get("status") == _HEALTHY)


def beats_since(port: int, component: str, started_us: int) -> bool:
    """Whether the api-server on ``port`` reports that a component is alive; see :func:`is_alive_since`."""
    return is_alive_since(_health(port), component, started_us)


def is_alive_since(health: Mapping[str, Mapping[str, str | None]], component: str, started_us: int) -> bool:
    """Whether a component is healthy and has sent a heartbeat since it was started.

    Airflow reports a component as healthy for half a minute after its last heartbeat, even if it was killed meanwhile.

    Args:
        health: report of the api-server, by part.
        component: ``scheduler``, ``dag-processor`` or ``triggerer``.
        started_us: when its process was started, microseconds since the epoch.
    """
    key = component.replace("-", "_")
    report = health.get(key, {})
    heartbeat = report.get(f"latest_{key}_heartbeat")
    if report.get("status") != _HEALTHY or heartbeat is None:
        return False
    return datetime.fromisoformat(heartbeat).timestamp() * 1e6 >= started_us


def _health(port: int) -> dict[str, Any]:
    """Return the response of ``GET /api/v2/monitor/health``; empty if there is none."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/api/v2/monitor/health")
        response = connection.getresponse()
        return dict(json.loads(response.read())) if response.status == _OK else {}
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
