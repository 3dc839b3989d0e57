"""Model card: properties, training data and limits of a model (Mitchell et al., FAccT 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batch.markdown import code, minute, table, threshold_probability
from batch.retrain.inheritance import Choice
from batch.retrain.options import HOUR_US, RetrainOptions
from moderation.policy import ExplorationShares, Policy
from moderation.training.outcome import TrainReport

NO_EXPLORATION = "none: MODERATION_EXPLORATION_KEY was not set at the training"
ZERO_SHARES = "none: both shares are 0"


def exploration_text(policy: Policy, shares: ExplorationShares) -> str:
    """Return what a policy explores, or why it explores nothing.

    Args:
        policy: of the model.
        shares: what the training was asked to explore.
    """
    if policy.exploration is not None:
        return str(policy.exploration)
    return NO_EXPLORATION if shares.removals or shares.allowed else ZERO_SHARES


def model_card(
    version: str,
    options: RetrainOptions,
    choice: Choice,
    lineage: Mapping[str, Any],
    counts: Mapping[str, int],
    trained: TrainReport,
    started_by: str,
) -> str:
    """Return the card as Markdown."""
    metrics, policy = trained.metrics, trained.policy
    tables = {
        "Data": {
            "comments from": minute(options.interval.start_us),
            "to, kept for the gate from": minute(lineage["split_us"]),
            "to": minute(options.interval.end_us),
            "label": f"last action within {options.maturity_us / HOUR_US:g} hours; none means {options.no_action}",
            "trained on": f"{metrics.comments:,} comments, {metrics.removed:,} removed",
            **{name.replace("_", " "): f"{count:,}" for name, count in counts.items()},
            "data digest": f"`{trained.data_digest}`",
            "manifest digest": f"`{lineage['manifest_digest']}`",
            "verdicts digest": f"`{lineage['verdicts_digest']}`",
        },
        "Measured out of fold": {
            "ROC AUC, mean of folds": f"{metrics.auc_mean:.4f}",
            "average precision": f"{metrics.average_precision:.4f}",
            "calibration error": f"{metrics.calibration_error:.4f}",
            "best F1": f"{metrics.best_f1:.4f}",
        },
        "Policy": {
            "goals stated": f"{code(', '.join(map(str, choice.goals)))} (from: {choice.goals_from})",
            "goals met": code(", ".join(policy.goals) or "none"),
            **{f"goal {number}": code(str(each)) for number, each in enumerate(trained.lowered, 1)},
            "review from": threshold_probability(policy.review_ppm),
            "remove from": threshold_probability(policy.remove_ppm),
            "exploration": exploration_text(policy, choice.exploration),
            "explored removals, allowed": f"{choice.exploration.removals:g} (from: {choice.removals_from}), "
            f"{choice.exploration.allowed:g} (from: {choice.allowed_from})",
            "policy version": f"`{policy.policy_version}`",
        },
        "Made by": {
            "family": f"{choice.family} (from: {choice.family_from})",
            "seed, folds": f"{options.seed}, {options.folds}",
            "code version": lineage["code_version"],
            "model digest": f"`{trained.model_digest}`",
            "started by": code(started_by),
            "reason": code(options.reason),
            **{f"ignored {number}": code(line) for number, line in enumerate(options.ignored, 1)},
        },
    }
    parts = [f"# Version {version}", "Scores how likely people are to remove a comment. English text."]
    for title, rows in tables.items():
        parts.append(f"## {title}\n\n" + "\n".join(table("| | |", rows.items())))
    parts.append(
        "## Limits\n\nLearned from what people of these communities removed, so it repeats their judgement and their "
        "mistakes. It knows nothing of authors, threads or pictures. It is not made for other communities or languages."
    )
    return "\n\n".join(parts) + "\n"
