"""What a day was like, in the measures of a model's training reference, and what the watch finds in them.

Weekday and hour are no measures: a day is held against its model whole, from midnight to midnight, and by shares only,
so that weekends, nights and growth that is everybody's alarm nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batch.labelled_examples import Example
from moderation.adapters.model_folder.folder import OpenModel
from moderation.contracts import Comment
from moderation.training.drift import Alarm, Finding, drift_of, drift_of_shares
from moderation.training.reference import (
    AGREEMENT,
    COMMUNITIES,
    LABELS,
    LENGTH,
    SCORE,
    UNSEEN,
    TrainingReference,
    agreement_of,
    counts_by_name,
    labels_of,
    lengths_of,
)

Floats = NDArray[np.float64]
INDICES = 2 * len((SCORE, LENGTH, UNSEEN)) + len((COMMUNITIES, LABELS, AGREEMENT))
"""A PSI for every measure, and a distance for every one that is a number."""
_NIGHT_CHANCE = 1e-3
ALARM = Alarm(chance=_NIGHT_CHANCE / INDICES)
# Two bins cannot move as much as ten: 0.04 is half as many removals again (from 15 to 23 %), the change of workload
# that the gate does not accept either, or agreement down from 90 to 83 %.
ALARM_OF_SHARES = Alarm(psi=0.04, chance=_NIGHT_CHANCE / INDICES)


@dataclass(frozen=True, slots=True)
class Measures:
    """A day in the measures of :class:`moderation.training.reference.TrainingReference`.

    Attributes:
        score, length, unseen: of each comment, shape (comments,).
        communities: comments by community.
        labels, agreement: of the day whose labels are mature; they may be none.
    """

    score: Floats
    length: Floats
    unseen: Floats
    communities: Mapping[str, float]
    labels: Mapping[str, float]
    agreement: Mapping[str, float]

    def numbers(self) -> dict[str, Floats]:
        """The measures that are numbers, by name."""
        return {SCORE: self.score, LENGTH: self.length, UNSEEN: self.unseen}

    def names(self) -> dict[str, Mapping[str, float]]:
        """The measures that are counts by name, by name."""
        return {COMMUNITIES: self.communities, LABELS: self.labels, AGREEMENT: self.agreement}


def measure_day(model: OpenModel, comments: Sequence[Comment], labelled: Sequence[Example]) -> Measures:
    """Measure a day.

    Args:
        model: the one that serves.
        comments: all of the day.
        labelled: comments with mature labels, of an earlier day.
    """
    bodies = [comment.body for comment in comments]
    removed = np.array([each.removed for each in labelled], bool)
    weight = np.array([each.weight for each in labelled], np.float64)
    scores = model.kernel.probabilities([each.comment.body for each in labelled])
    return Measures(
        score=model.kernel.probabilities(bodies),
        length=lengths_of(bodies),
        unseen=model.kernel.unseen_shares(bodies, model.reference.comments),
        communities=counts_by_name([comment.community for comment in comments]),
        labels=labels_of(removed, weight),
        agreement=agreement_of(model.policy, scores, removed, weight),
    )


def compare_with_reference(reference: TrainingReference, day: Measures) -> dict[str, Finding]:
    """Hold a day against the reference, measure by measure.

    What may drift by chance: a night has nine indices, and each alarms by chance with a probability of at most a
    ninth of one in a thousand (Bonferroni), so 200 quiet nights have 0.2 alarms by chance. That bound holds for
    comments that are independent of each other, which they are not quite; on days of thousands of comments it is the
    size that matters which keeps quiet.

    Fewer unseen words are no alarm: the model that serves was fitted on all folds, so it has seen more than those that
    the reference was measured with, the more so the fewer comments there were.

    Returns:
        A finding for every measure.
    """
    values, counts = day.numbers(), day.names()
    numbers = {
        name: drift_of(known, values[name], ALARM, only_more=name == UNSEEN)
        for name, known in reference.numbers().items()
    }
    limits = {COMMUNITIES: ALARM, LABELS: ALARM_OF_SHARES, AGREEMENT: ALARM_OF_SHARES}
    names = {name: drift_of_shares(known, counts[name], limits[name]) for name, known in reference.names().items()}
    return numbers | names
