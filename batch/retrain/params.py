"""The form of a retraining, as JSON schema: what a person, a message or the command line may state.

Light, since Airflow reads it whenever it parses the DAG.
"""

from __future__ import annotations

from typing import Any

FAMILIES = ("logistic_regression", "nb_logistic_regression")
NO_ACTION = ("kept", "left out")

PARAMS: dict[str, dict[str, Any]] = {
    "days": {
        "default": 28,
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "Length of the window of comments, in days.",
    },
    "end": {
        "default": None,
        "type": ["null", "string"],
        "description": "End of the window, e.g. 2026-11-20 (that day not included); else as late as labels are mature.",
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
        "description": "What a comment without an action is. Leave them out where only a sample is looked at.",
    },
    "family": {"default": FAMILIES[0], "enum": list(FAMILIES), "description": "How the coefficients are found."},
    "goals": {
        # Without a precision goal nothing is removed without a person: the safe choice until somebody states one.
        "default": ["review_share<=0.2"],
        "type": "array",
        "items": {"type": "string"},
        "description": "What the policy must reach, e.g. precision>=0.9, recall>=0.8, reviews_per_day<=200.",
    },
    "seed": {"default": 0, "type": "integer", "minimum": 0, "description": "Of the folds and of the gate's bootstrap."},
    "newest_share": {
        "default": 0.2,
        "type": "number",
        "minimum": 0.05,
        "maximum": 0.5,
        "description": "Share of the comments, the newest, that is kept from training for the gate.",
    },
    "auc_margin": {
        "default": 0.01,
        "type": "number",
        "minimum": 0,
        "description": "How much lower than production's the AUC may be, at the lower end of its interval.",
    },
    "reason": {
        "default": None,
        "type": ["null", "string"],
        "description": "Why; becomes the description of the version.",
    },
}
