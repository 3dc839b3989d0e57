"""Policies: goals of a community, resolved to the two thresholds that map a score to a verdict."""

from moderation.policy.exploration import Exploration, ExplorationKeys, ExplorationShares, Ruling
from moderation.policy.goals import Goal, Measure, parse_goal
from moderation.policy.policy import Estimate, OperatingPoint, Policy
from moderation.policy.reachable import Lowering, resolve_reachable
from moderation.policy.resolve import resolve_policy

__all__ = [
    "Estimate",
    "Exploration",
    "ExplorationKeys",
    "ExplorationShares",
    "Goal",
    "Lowering",
    "Measure",
    "OperatingPoint",
    "Policy",
    "Ruling",
    "parse_goal",
    "resolve_policy",
    "resolve_reachable",
]
