"""The self-removal experiment: retrain a model on labels that its own verdicts shaped, generation after generation.

Generation 0 is trained where moderators saw everything. From then on the policy removes by itself (precision >= 0.9).
Moderators act on what they see: they remove what they would have removed, and approve the rest of the reviewed
comments. Nobody acts on what the model removed. The next generation is trained on these labels. Three rules are
compared, each with its own sequence of models:

``kept``         no action means kept, whatever the verdict was: the rule of earlier releases
``left_out``     a comment that was not allowed and on which nobody acted is left out; no exploration
``exploration``  the same, and a share of would-be removals is reviewed; see :mod:`batch.label_rule`

Each model is measured on comments of a later time with all labels. A generation has 3,000 comments, and 20 % of
would-be removals are explored, so about as many are drawn as by the default of 1 % from 60,000 comments, which is a
month of the generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from batch.label_rule import Label, Served, label_of
from moderation.contracts import ActionKind, Comment, Verdict
from moderation.datasets.synthetic import labelled_history
from moderation.datasets.synthetic.config import TrafficConfig
from moderation.policy import ExplorationShares, Policy, parse_goal
from moderation.scoring import Kernel, new_pipeline
from moderation.text import Lexicon
from moderation.training import collect_examples, train

RULES = ("kept", "left_out", "exploration")
GOALS = ("precision>=0.9", "review_share<=0.1")
_LEXICON_CHUNKS = 400_000
_FOLDS = 2
_DAYS = 2
Labelled = tuple[Comment, bool]


@dataclass(frozen=True, slots=True)
class SelfRemovalSettings:
    """Size of the experiment.

    Attributes:
        seeds: number of repetitions; each has other comments and another key.
        generations: retrainings after generation 0.
        comments: number of comments of a generation, and of the comments that measure.
        removals: share of would-be removals that rule ``exploration`` reviews.
    """

    seeds: int = 10
    generations: int = 5
    comments: int = 3_000
    removals: float = 0.2


@dataclass(slots=True)
class SelfRemovalResult:
    """Figures of the experiment.

    Attributes:
        auc: ROC AUC on all labels by rule, one list for each seed: of generation 0 and of every later one.
        drawn: number of would-be removals that were drawn and acted on, by seed and generation.
        settings: what was run.
    """

    settings: SelfRemovalSettings
    auc: dict[str, list[list[float]]] = field(default_factory=lambda: {rule: [] for rule in RULES})
    drawn: list[list[int]] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields."""
        means = {rule: np.mean(self.auc[rule], axis=0) for rule in RULES}
        return {
            "settings": {
                "seeds": self.settings.seeds,
                "generations": self.settings.generations,
                "comments": self.settings.comments,
                "removals": self.settings.removals,
                "goals": list(GOALS),
            },
            "auc": {rule: [[round(each, 4) for each in seed] for seed in self.auc[rule]] for rule in RULES},
            "auc_mean": {rule: [round(float(each), 4) for each in means[rule]] for rule in RULES},
            "change": {rule: round(float(means[rule][-1] - means[rule][0]), 4) for rule in RULES},
            "drawn": self.drawn,
        }


def run_self_removal(
    settings: SelfRemovalSettings, on_progress: Callable[[str], None], processes: int = 2
) -> SelfRemovalResult:
    """Run the experiment.

    Args:
        settings: its size.
        on_progress: receives a line for each seed.
        processes: number of seeds that are computed at the same time.
    """
    result = SelfRemovalResult(settings)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        seeds = pool.map(run_seed, range(settings.seeds), [settings] * settings.seeds)
        for seed, (auc, drawn) in enumerate(seeds):
            for rule in RULES:
                result.auc[rule].append(auc[rule])
            result.drawn.append(drawn)
            last = ", ".join(f"{rule} {auc[rule][-1]:.3f}" for rule in RULES)
            on_progress(f"seed {seed}: AUC of generation 0 {auc['kept'][0]:.3f}, of the last: {last}")
    return result


def run_seed(seed: int, settings: SelfRemovalSettings) -> tuple[dict[str, list[float]], list[int]]:
    """Return the AUC by rule and generation, and the number of drawn removals by generation, of one repetition."""
    parts = list(_parts(seed, settings))
    first, *generations, test = parts
    lexicon = Lexicon(_LEXICON_CHUNKS)
    key = hashlib.sha256(f"self-removal {seed}".encode()).digest()
    start = _trained(first, [1.0] * len(first), lexicon)
    auc = {rule: [_auc(start[0], test)] for rule in RULES}
    drawn: list[int] = []
    for rule in RULES:
        kernel, policy = start
        for comments in generations:
            contributions = _labels(rule, comments, kernel, policy, key, settings)
            labels = [
                (comment, label)
                for (comment, _), label in zip(comments, contributions, strict=True)
                if isinstance(label, Label)
            ]
            if rule == "exploration":
                drawn.append(sum(label.weight > 1 for _, label in labels))
            kernel, policy = _trained(
                [(comment, label.removed) for comment, label in labels], [label.weight for _, label in labels], lexicon
            )
            auc[rule].append(_auc(kernel, test))
    return auc, drawn


def _parts(seed: int, settings: SelfRemovalSettings) -> Iterator[list[Labelled]]:
    """Yield generation 0, the others, and the comments that measure, in order of time."""
    count = settings.generations + 2
    config = TrafficConfig(seed=seed, days=_DAYS * count, comments_per_day=-(-settings.comments // _DAYS))
    history = [(each.comment, each.removed) for each in labelled_history(config)]
    size = len(history) // count
    for part in range(count):
        yield history[part * size : (part + 1) * size]


def _labels(
    rule: str, comments: Sequence[Labelled], kernel: Kernel, policy: Policy, key: bytes, settings: SelfRemovalSettings
) -> Iterator[object]:
    """Yield what each comment contributes to the next training, given the verdicts of this generation."""
    scores = kernel.score_many([comment.body for comment, _ in comments])
    if rule == "exploration":
        shares = ExplorationShares(removals=settings.removals)
        policy = replace(policy, exploration=shares.resolve(key, settings.comments / _DAYS))
    ids = [comment.record_id() for comment, _ in comments]
    rulings = policy.decide(scores, ids, [()] * len(ids), key)
    for (_, is_bad), ruling in zip(comments, rulings, strict=True):
        action = None
        if ruling.verdict is not Verdict.REMOVE and is_bad:
            action = ActionKind.REMOVE
        elif ruling.verdict is Verdict.REVIEW:
            action = ActionKind.APPROVE
        served = None if rule == "kept" else Served(ruling.verdict, ruling.inclusion_ppm, ruling.drawn_from)
        yield label_of(action, 1.0 if action else None, served)


def _trained(labelled: Sequence[Labelled], weights: Sequence[float], lexicon: Lexicon) -> tuple[Kernel, Policy]:
    trained = train(
        collect_examples(labelled, weights),
        lambda: new_pipeline(lexicon),
        [parse_goal(goal) for goal in GOALS],
        folds=_FOLDS,
        lower_goals=True,
    )
    return trained.estimator.kernel(), trained.policy


def _auc(kernel: Kernel, comments: Sequence[Labelled]) -> float:
    scores = kernel.score_many([comment.body for comment, _ in comments])
    return float(roc_auc_score([is_bad for _, is_bad in comments], scores))


def draw_self_removal(result: SelfRemovalResult, path: Path) -> None:
    """Draw the AUC by generation: the mean of the seeds, and their range."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    names = {
        "kept": "no action means kept",
        "left_out": "not allowed and no action: left out",
        "exploration": f"the same, and {result.settings.removals:.0%} of removals are reviewed",
    }
    for rule, colour in zip(RULES, ("#d9720b", "#8a8f98", "#1f5fa8"), strict=True):
        values = np.array(result.auc[rule])
        generations = np.arange(values.shape[1])
        axes.plot(generations, values.mean(axis=0), marker="o", color=colour, label=names[rule])
        axes.fill_between(generations, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    axes.set(
        title="A policy that removes by itself: AUC on all labels, mean and range of the seeds",
        xlabel="generation of retraining",
        ylabel="ROC AUC",
    )
    axes.set_xticks(range(result.settings.generations + 1))
    axes.legend(loc="lower left")
    figure.savefig(path, metadata={"Software": None})
