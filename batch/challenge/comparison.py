"""Two models on the same comments: pure functions of their scores and verdicts.

Every comment is one paired trial: do the two verdicts on it differ? Their share has Wilson's 95 % score interval
(Probable Inference, the Law of Succession, and Statistical Inference, JASA 22, 1927). Comments that repeat each other
are counted as they come, though they are no independent trials: a flood of one text narrows the interval too much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Comment, Repair, Verdict, at_least_review
from moderation.policy import Estimate, Policy
from moderation.policy.resolve import wilson

Ints = NDArray[np.int64]
EXCERPT_CHARACTERS = 300
MOST_DIFFERENT = 50
_VERDICTS = tuple(Verdict)
_NUMBER = {verdict: number for number, verdict in enumerate(_VERDICTS)}


@dataclass(frozen=True, slots=True)
class ModelScores:
    """What one model says of the comments, in their order.

    Attributes:
        version: of the model, its number.
        policy: its thresholds.
        scores_ppm: shape (comments,).
        repairs: of the comments' records, in their order; empty where no record was repaired.
    """

    version: str
    policy: Policy
    scores_ppm: Ints
    repairs: Sequence[Sequence[Repair]] = ()

    def verdict_numbers(self) -> Ints:
        """0 allow, 1 review, 2 remove; shape (comments,)."""
        verdicts = self.policy.verdicts(self.scores_ppm)
        if self.repairs:
            verdicts = [at_least_review(*each) for each in zip(verdicts, self.repairs, strict=True)]
        return np.array([_NUMBER[verdict] for verdict in verdicts], np.int64)


@dataclass(frozen=True, slots=True)
class Workload:
    """What a model asks of people, and does without them: comments a day."""

    reviews_per_day: float
    removals_per_day: float


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """All comments, or those of one community.

    Attributes:
        comments: how many.
        changed: on how many of them the verdicts differ.
        disagreement: the same as a share, with its interval.
        score_shift_ppm: mean of the challenger's score less production's.
        challenger, production: what each asks for.
    """

    comments: int
    changed: int
    disagreement: Estimate
    score_shift_ppm: float
    challenger: Workload
    production: Workload


@dataclass(frozen=True, slots=True)
class CommentDifference:
    """A comment on which the two differ much.

    Attributes:
        comment_id, community: of the first comment with this text in this community.
        excerpt: the first ``EXCERPT_CHARACTERS`` of its text.
        copies: how many comments with this text there are in this community.
        production_ppm, challenger_ppm: scores.
        production, challenger: verdicts.
    """

    comment_id: str
    community: str
    excerpt: str
    copies: int
    production_ppm: int
    challenger_ppm: int
    production: Verdict
    challenger: Verdict


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """What came of it.

    Attributes:
        overall: of all comments.
        communities: by name, those with most comments first.
        transitions: how many comments have this verdict by production and that one by the challenger.
        most_different: see :func:`most_different`.
    """

    overall: GroupFigures
    communities: Mapping[str, GroupFigures]
    transitions: Mapping[Verdict, Mapping[Verdict, int]]
    most_different: Sequence[CommentDifference]


def compare(
    comments: Sequence[Comment], challenger: ModelScores, production: ModelScores, days: float, stands_for: float = 1.0
) -> ModelComparison:
    """Compare what two models say of the same comments.

    Args:
        comments: one or more.
        challenger: the one that wants to serve.
        production: the one that serves.
        days: which the comments span, more than 0.
        stands_for: how many comments of those days each one stands for, where they are a sample.
    """
    ours, theirs = challenger.verdict_numbers(), production.verdict_numbers()
    shift = challenger.scores_ppm - production.scores_ppm

    def group(members: NDArray[np.intp]) -> GroupFigures:
        changed = int((ours[members] != theirs[members]).sum())
        return GroupFigures(
            comments=len(members),
            changed=changed,
            disagreement=wilson(changed, len(members)),
            score_shift_ppm=float(shift[members].mean()),
            challenger=_workload(ours[members], stands_for / days),
            production=_workload(theirs[members], stands_for / days),
        )

    names, community = np.unique(np.array([comment.community for comment in comments]), return_inverse=True)
    members = np.split(np.argsort(community, kind="stable"), np.cumsum(np.bincount(community))[:-1])
    largest_first = sorted(zip(names.tolist(), members, strict=True), key=lambda pair: (-len(pair[1]), pair[0]))
    table = np.bincount(theirs * 3 + ours, minlength=9).reshape(3, 3).tolist()
    return ModelComparison(
        overall=group(np.arange(len(comments))),
        communities={name: group(own) for name, own in largest_first},
        transitions={was: dict(zip(_VERDICTS, row, strict=True)) for was, row in zip(_VERDICTS, table, strict=True)},
        most_different=most_different(comments, challenger, production),
    )


def most_different(
    comments: Sequence[Comment], challenger: ModelScores, production: ModelScores, most: int = MOST_DIFFERENT
) -> list[CommentDifference]:
    """The comments on which two models differ most, each text of a community once.

    Those whose verdicts lie two steps apart come first, then one step, then none; within each, the larger difference
    of scores comes first.

    Args:
        comments: all.
        challenger: the one that wants to serve.
        production: the one that serves.
        most: how many.
    """
    ours, theirs = challenger.verdict_numbers(), production.verdict_numbers()
    apart, distance = np.abs(ours - theirs), np.abs(challenger.scores_ppm - production.scores_ppm)
    copies: dict[tuple[str, str], int] = {}
    for comment in comments:
        text = comment.community, comment.body
        copies[text] = copies.get(text, 0) + 1
    found: dict[tuple[str, str], CommentDifference] = {}
    for at in np.lexsort((np.arange(len(comments)), -distance, -apart)).tolist():
        if len(found) == most:
            break
        comment = comments[at]
        text = comment.community, comment.body
        if text not in found:
            found[text] = CommentDifference(
                comment_id=comment.comment_id,
                community=comment.community,
                excerpt=comment.body[:EXCERPT_CHARACTERS],
                copies=copies[text],
                production_ppm=int(production.scores_ppm[at]),
                challenger_ppm=int(challenger.scores_ppm[at]),
                production=_VERDICTS[theirs[at]],
                challenger=_VERDICTS[ours[at]],
            )
    return list(found.values())


def _workload(verdicts: Ints, per_day: float) -> Workload:
    counts = np.bincount(verdicts, minlength=3)
    return Workload(float(counts[_NUMBER[Verdict.REVIEW]] * per_day), float(counts[_NUMBER[Verdict.REMOVE]] * per_day))
