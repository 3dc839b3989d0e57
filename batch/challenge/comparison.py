"""Comparison of two models on the same comments, as pure functions of their scores and verdicts.

Every comment is one paired trial: the two verdicts on it are equal or differ. The share of comments whose verdicts
differ has Wilson's 95 % score interval (Probable Inference, the Law of Succession, and Statistical Inference, JASA 22,
1927). Repeated comments count each time, although they are not independent trials. So many copies of one text make the
interval too narrow.
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
    """Scores of one model, in the order of the comments.

    Attributes:
        version: number of the model version.
        policy: thresholds of the model version.
        scores_ppm: shape (comments,).
        repairs: of the comments' records, in their order; empty where no record was repaired.
    """

    version: str
    policy: Policy
    scores_ppm: Ints
    repairs: Sequence[Sequence[Repair]] = ()

    def verdict_numbers(self) -> Ints:
        """Return 0 for allow, 1 for review, 2 for remove; shape (comments,)."""
        verdicts = self.policy.verdicts(self.scores_ppm)
        if self.repairs:
            verdicts = [at_least_review(*each) for each in zip(verdicts, self.repairs, strict=True)]
        return np.array([_NUMBER[verdict] for verdict in verdicts], np.int64)


@dataclass(frozen=True, slots=True)
class Workload:
    """Reviews that a model requests and removals that it makes, in comments a day."""

    reviews_per_day: float
    removals_per_day: float


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """Figures of all comments, or of those of one community.

    Attributes:
        comments: how many.
        changed: on how many of them the verdicts differ.
        disagreement: ``changed`` as a share, with its interval.
        score_shift_ppm: mean of the challenger's score minus production's.
        challenger, production: workload of each model.
    """

    comments: int
    changed: int
    disagreement: Estimate
    score_shift_ppm: float
    challenger: Workload
    production: Workload


@dataclass(frozen=True, slots=True)
class CommentDifference:
    """A comment on which the two models differ much.

    Attributes:
        comment_id, community: of the first comment with this text in this community.
        excerpt: the first ``EXCERPT_CHARACTERS`` of its text.
        copies: number of comments with this text in this community.
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
    """Result of the comparison of two models.

    Attributes:
        overall: of all comments.
        communities: figures by community, those with most comments first.
        transitions: number of comments by production's verdict, then by the challenger's.
        most_different: see :func:`most_different`.
    """

    overall: GroupFigures
    communities: Mapping[str, GroupFigures]
    transitions: Mapping[Verdict, Mapping[Verdict, int]]
    most_different: Sequence[CommentDifference]


def compare(
    comments: Sequence[Comment], challenger: ModelScores, production: ModelScores, days: float, stands_for: float = 1.0
) -> ModelComparison:
    """Compare the scores and verdicts of two models on the same comments.

    Args:
        comments: one or more.
        challenger: scores of the challenger.
        production: scores of the production model.
        days: length of the time range of the comments, more than 0.
        stands_for: how many comments of those days each one represents, if they are a sample.
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
        communities={name: group(indices) for name, indices in largest_first},
        transitions={was: dict(zip(_VERDICTS, row, strict=True)) for was, row in zip(_VERDICTS, table, strict=True)},
        most_different=most_different(comments, challenger, production),
    )


def most_different(
    comments: Sequence[Comment], challenger: ModelScores, production: ModelScores, most: int = MOST_DIFFERENT
) -> list[CommentDifference]:
    """Return the comments on which two models differ most, each text of a community once.

    Comments whose verdicts differ by two steps come first, then one step, then none; within each group, the larger
    difference of scores comes first.

    Args:
        comments: all comments.
        challenger: scores of the challenger.
        production: scores of the production model.
        most: maximum number of comments.
    """
    ours, theirs = challenger.verdict_numbers(), production.verdict_numbers()
    apart, distance = np.abs(ours - theirs), np.abs(challenger.scores_ppm - production.scores_ppm)
    copies: dict[tuple[str, str], int] = {}
    for comment in comments:
        text = comment.community, comment.body
        copies[text] = copies.get(text, 0) + 1
    differences: dict[tuple[str, str], CommentDifference] = {}
    for index in np.lexsort((np.arange(len(comments)), -distance, -apart)).tolist():
        if len(differences) == most:
            break
        comment = comments[index]
        text = comment.community, comment.body
        if text not in differences:
            differences[text] = CommentDifference(
                comment_id=comment.comment_id,
                community=comment.community,
                excerpt=comment.body[:EXCERPT_CHARACTERS],
                copies=copies[text],
                production_ppm=int(production.scores_ppm[index]),
                challenger_ppm=int(challenger.scores_ppm[index]),
                production=_VERDICTS[theirs[index]],
                challenger=_VERDICTS[ours[index]],
            )
    return list(differences.values())


def _workload(verdicts: Ints, per_day: float) -> Workload:
    counts = np.bincount(verdicts, minlength=3)
    return Workload(float(counts[_NUMBER[Verdict.REVIEW]] * per_day), float(counts[_NUMBER[Verdict.REMOVE]] * per_day))
