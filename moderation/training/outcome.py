"""What a training run and the registration of its model return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from moderation.policy import Lowering, Policy
from moderation.training.metrics import Metrics


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The result of a training run.

    Attributes:
        model_digest: SHA-256 of the model file, hexadecimal; equal for equal data, goals, folds and seed.
        data_digest: SHA-256 over the examples, hexadecimal.
        metrics: out-of-fold measurements.
        policy: the resolved thresholds and the exploration.
        lowered: goals that the policy meets in a lowered form only, or not at all.
    """

    model_digest: str
    data_digest: str
    metrics: Metrics
    policy: Policy
    lowered: tuple[Lowering, ...] = ()


class Registration(NamedTuple):
    """What became of a model folder in the registry.

    Attributes:
        version: its number.
        is_production: it has the alias ``production``.
        is_certified: it may become ``production``.
    """

    version: str
    is_production: bool
    is_certified: bool
