#!/opt/moderation/bin/python -P
"""Health check of a worker's container: ``worker-health HEALTH_URL METRICS_URL``.

Ends with 0 if the HTTP API responds. Before a first model serves there is no API: then it ends with 0 if the metrics
respond. It ends with 1 if ``park`` keeps the container, or if nothing responds. The line it prints is what ``docker
inspect`` shows.
"""

import http.client
import sys
import tempfile
import urllib.request
from pathlib import Path

SECONDS = 4
PARKED = Path(tempfile.gettempdir(), "parked")


def responds(url: str) -> bool:
    """Whether a GET request has a response with status 200."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as response:  # noqa: S310 - a fixed address in the container
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def state(health_url: str, metrics_url: str) -> "tuple[int, str]":
    """Return exit code and line of the check."""
    if PARKED.exists():
        return 1, PARKED.read_text().strip()
    if responds(health_url):
        return 0, "the worker responds"
    if responds(metrics_url):
        return 0, "the worker has started and no model serves yet; its log names what it waits for"
    return 1, "neither the worker's API nor its metrics respond"


if __name__ == "__main__":
    code, line = state(*sys.argv[1:])
    print(line)  # noqa: T201
    sys.exit(code)
