"""Measures of a day's comments, and their comparison with the training reference of a model.

Weekday and hour are not measured: a day is compared as a whole, from midnight to midnight, and by shares only. So
weekends, nights and uniform growth cause no alarm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batch.labelled_examples import Example
from moderation.adapters.model_folder.folder import OpenModel
from moderation.contracts import Comment
from moderation.training.drift import Alarm, DriftResult, drift_of, drift_of_shares
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
"""One PSI for each measure, and one distance for each numeric measure."""
_NIGHT_CHANCE = 1e-3
ALARM = Alarm(chance=_NIGHT_CHANCE / INDICES)
# The PSI of two bins is smaller than that of ten: 0.04 means that removals grow by half (from 15 to 23 %), which is the
# change of workload that the gate refuses as well, or that agreement falls from 90 to 83 %.
ALARM_OF_SHARES = Alarm(psi=0.04, chance=_NIGHT_CHANCE / INDICES)


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of a day, as in :class:`moderation.training.reference.TrainingReference`.

    Attributes:
        score, length, unseen: of each comment, shape (comments,).
        communities: comments by community.
        labels, agreement: of the day whose labels are mature; they may be empty.
    """

    score: Floats
    length: Floats
    unseen: Floats
    communities: Mapping[str, float]
    labels: Mapping[str, float]
    agreement: Mapping[str, float]

    def numbers(self) -> dict[str, Floats]:
        """Return the numeric measures, by name."""
        return {SCORE: self.score, LENGTH: self.length, UNSEEN: self.unseen}

    def names(self) -> dict[str, Mapping[str, float]]:
        """Return the categorical measures, by name; each is a count by category."""
        return {COMMUNITIES: self.communities, LABELS: self.labels, AGREEMENT: self.agreement}


def measure_day(model: OpenModel, comments: Sequence[Comment], labelled: Sequence[Example]) -> Measures:
    """Compute the measures of a day.

    Args:
        model: the production model.
        comments: all comments of the day.
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


def compare_with_reference(reference: TrainingReference, day: Measures) -> dict[str, DriftResult]:
    """Compare a day with the training reference, measure by measure.

    False alarms: a night has nine indices. Each raises a false alarm with a probability of at most a ninth of one in
    a thousand (Bonferroni), so 200 nights without drift have 0.2 false alarms. The bound assumes independent comments,
    which is not quite true. On days with thousands of comments the thresholds of the size prevent alarms.

    Fewer unseen words raise no alarm. The production model was fitted on all folds, so it knows more words than the
    models that measured the reference. The difference is larger if there were few comments.

    Returns:
        One finding for each measure.
    """
    values, counts = day.numbers(), day.names()
    numbers = {
        name: drift_of(known, values[name], ALARM, only_more=name == UNSEEN)
        for name, known in reference.numbers().items()
    }
    limits = {COMMUNITIES: ALARM, LABELS: ALARM_OF_SHARES, AGREEMENT: ALARM_OF_SHARES}
    names = {name: drift_of_shares(known, counts[name], limits[name]) for name, known in reference.names().items()}
    return numbers | names
