"""Parameters of a bootstrap as JSON schema, with their defaults.

This module imports nothing heavy, because Airflow imports it whenever it parses the DAG.
"""

from __future__ import annotations

from typing import Any

PARAMS: dict[str, dict[str, Any]] = {
    "review_share": {
        "default": 0.05,
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "Share of all comments, drawn at random, that get verdict review; the others are allowed.",
    },
    "reason": {
        "default": "first start without labelled comments",
        "type": "string",
        "minLength": 1,
        "maxLength": 1000,
        "description": "Why; becomes the description of the version.",
    },
}
