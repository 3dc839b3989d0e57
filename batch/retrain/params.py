"""Parameters of a retraining as JSON schema, with their defaults.

This module imports nothing heavy, because Airflow imports it whenever it parses the DAG.
"""

from __future__ import annotations

from typing import Any

FAMILIES = ("logistic_regression", "nb_logistic_regression")
NO_ACTION = ("kept", "left out")
AS_PRODUCTION = "as production"
DEFAULT_GOALS = ("review_share<=0.2",)
"""Goals if none are stated and no version serves. Without a precision goal no comment is removed without a review."""
MESSAGE_FIELDS = ("reason", "days", "end")
"""The parameters that a message on topic ``retrain-requests`` may state: nothing that weakens the gate."""

PARAMS: dict[str, dict[str, Any]] = {
    "days": {
        "default": 28,
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 3650,
        "description": "Length of the interval of comments, in days.",
    },
    "end": {
        "default": None,
        "type": ["null", "string"],
        "description": "End of the interval, e.g. 2026-11-20, not included; the last hour with mature labels if empty.",
    },
    "maturity_hours": {
        "default": 48,
        "type": "number",
        "minimum": 0,
        "description": "How long after a comment an action on it counts.",
    },
    "no_action": {
        "default": "kept",
        "enum": list(NO_ACTION),
        "description": "Meaning of a shown comment without an action. Leave them out where only a sample is reviewed.",
    },
    "family": {
        "default": AS_PRODUCTION,
        "enum": [AS_PRODUCTION, *FAMILIES],
        "description": "How the coefficients are computed.",
    },
    "goals": {
        "default": [],
        "type": ["null", "array"],
        "items": {"type": "string"},
        "description": "What the policy must reach, e.g. precision>=0.9, recall>=0.8, reviews_per_day<=200. "
        "If empty: the goals stated for production.",
    },
    "explore_removals": {
        "default": None,
        "type": ["null", "number"],
        "minimum": 0,
        "maximum": 1,
        "description": "Share of would-be removals that get verdict review, e.g. 0.01; 0, or from 0.001 on. "
        "If empty: the share stated for production.",
    },
    "explore_allowed": {
        "default": None,
        "type": ["null", "number"],
        "minimum": 0,
        "maximum": 1,
        "description": "Share of would-be allowed comments that get verdict review, e.g. 0.001; at most 50 a day. "
        "If empty: the share stated for production.",
    },
    "seed": {
        "default": 0,
        "type": "integer",
        "minimum": 0,
        "description": "Seed of the folds and of the gate's bootstrap.",
    },
    "newest_share": {
        "default": 0.2,
        "type": "number",
        "minimum": 0.05,
        "maximum": 0.5,
        "description": "Share of the comments, the newest, that is left out of the training for the gate.",
    },
    "auc_margin": {
        "default": 0.01,
        "type": "number",
        "minimum": 0,
        "maximum": 0.01,
        "description": "How much lower than production's the AUC may be, at the lower end of its interval.",
    },
    "reason": {
        "default": None,
        "type": ["null", "string"],
        "maxLength": 1000,
        "description": "Why; becomes the description of the version.",
    },
}
