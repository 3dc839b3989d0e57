"""What Airflow's api-server says about itself and the other parts, which have no port of their own."""

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
    """Whether the api-server on ``port`` says that a component is alive; see :func:`is_alive_since`."""
    return is_alive_since(_health(port), component, started_us)


def is_alive_since(health: Mapping[str, Mapping[str, str | None]], component: str, started_us: int) -> bool:
    """Whether a component is healthy, and has said so since it was started.

    Airflow calls a component healthy for half a minute after its last heartbeat, also one that was killed meanwhile.

    Args:
        health: what the api-server says, by part.
        component: ``scheduler``, ``dag-processor`` or ``triggerer``.
        started_us: when its process was started, microseconds since the epoch.
    """
    key = component.replace("-", "_")
    said = health.get(key, {})
    heartbeat = said.get(f"latest_{key}_heartbeat")
    if said.get("status") != _HEALTHY or heartbeat is None:
        return False
    return datetime.fromisoformat(heartbeat).timestamp() * 1e6 >= started_us


def _health(port: int) -> dict[str, Any]:
    """The answer of ``GET /api/v2/monitor/health``; empty when there is none yet."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/api/v2/monitor/health")
        response = connection.getresponse()
        return dict(json.loads(response.read())) if response.status == _OK else {}
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
