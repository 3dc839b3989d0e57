"""The lake as an input of commands that fit models, in the shape of an import of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.options import connected_settings
from moderation.errors import ConfigurationError, TrainingError

if TYPE_CHECKING:
    from batch.labelled_examples import LabelledExamples
    from batch.retrain.options import RetrainOptions
    from moderation.datasets.history import BadRow, LabelledComment

_EVERY_COMMENT = 2**62
_EXAMPLE = "Write days, e.g. 28, or an interval, e.g. 2026-05-01..2026-05-29 (UTC, the last day not included)."


@dataclass(frozen=True, slots=True)
class LakeImport:
    """Labelled comments of an interval of the lake.

    Attributes:
        name: how reports name the lake and the interval.
        read: the comments with labels and weights.
        options: interval and rule of the labels.
        most: largest number of comments.
        bad_rows: none; ``bad_row_count`` counts records that cannot be read.
    """

    name: str
    read: LabelledExamples
    options: RetrainOptions
    most: int
    bad_rows: list[BadRow] = field(default_factory=list)

    @property
    def bad_row_count(self) -> int:
        """Number of records that cannot be read as a comment, or whose parsing fails."""
        return self.read.counts["unreadable"] + self.read.counts["failed"]

    @property
    def weights(self) -> Sequence[float]:
        """Number of comments that each one represents, in the order of :meth:`comments`."""
        return [example.weight for example in self.read.examples]

    def comments(self, on_progress: Callable[[str], None] = lambda step: None) -> Iterator[LabelledComment]:
        """Yield the comments in the order of their times. A removal is dated an hour after its comment.

        Args:
            on_progress: not called, because the comments are in memory.
        """
        from moderation.contracts import Action, ActionKind
        from moderation.datasets.history import LabelledComment
        from moderation.datasets.importer import REMOVED_AFTER_US

        for example in self.read.examples:
            comment, action = example.comment, None
            if example.removed:
                time_us = comment.event_time_us + REMOVED_AFTER_US
                action = Action(comment.comment_id, ActionKind.REMOVE, "lake", "action in the lake", time_us, 1.0)
            yield LabelledComment(comment, action)

    def lineage(self) -> dict[str, Any]:
        """Return the origin of the comments for the model card."""
        return {
            "import": {
                "format": "lake",
                "start_us": self.options.interval.start_us,
                "end_us": self.options.interval.end_us,
                "maturity_us": self.options.maturity_us,
                "no_action": self.options.no_action,
                "most": self.most,
                "counts": self.read.counts,
                "manifest_digest": self.read.manifest_digest,
                "verdicts_digest": self.read.verdicts_digest,
            }
        }

    def sample_text(self) -> str | None:
        """Return one line that states the sample; None if every labelled comment is used."""
        labelled = sum(self.read.counts.get(name, 0) for name in ("with_action", "without_action_kept"))
        if labelled <= self.most:
            return None
        return f"{self.most:,} of {labelled:,} labelled comments are used: a random sample; --sample 0 uses all"


def read_lake(
    text: str, no_action: str, sample: int, data_folder: Path, on_progress: Callable[[str], None]
) -> LakeImport:
    """Read the labelled comments of an interval of the lake.

    Args:
        text: value of ``--from-lake``.
        no_action: meaning of a comment without an action, see ``moderation retrain``.
        sample: largest number of comments; 0 for all.
        data_folder: folder of the local stack.
        on_progress: receives one line at each step.

    Raises:
        ConfigurationError: the interval is malformed or not over, or no database is known.
        TrainingError: the interval has no labelled comment.
        LakeDamaged: a file of the lake is missing or altered.
    """
    from batch.labelled_examples import read_examples
    from batch.retrain.options import parse_options

    options = parse_options({**stated_interval(text), "no_action": no_action}, datetime.now(UTC))
    most = sample or _EVERY_COMMENT
    read = read_examples(
        connected_settings(data_folder),
        options.interval,
        maturity_us=options.maturity_us,
        no_action=options.no_action,
        most=most,
        on_progress=on_progress,
    )
    if not read.examples:
        raise TrainingError(
            "lake", f"it has no labelled comment of the interval {text}", "Run `moderation archive`, or name another."
        )
    return LakeImport(f"lake {text}", read, options, most)


def stated_interval(text: str) -> dict[str, Any]:
    """Return the parameters of a retraining that a value of ``--from-lake`` states.

    Args:
        text: a number of days, or two dates with ``..`` between them.

    Raises:
        ConfigurationError: it is neither.
    """
    first, separator, end = text.partition("..")
    try:
        if not separator:
            return {"days": float(text)}
        days = (date.fromisoformat(end) - date.fromisoformat(first)).days
    except ValueError as error:
        raise ConfigurationError("--from-lake", f"{text!r} is no interval ({error})", _EXAMPLE) from error
    if days < 1:
        raise ConfigurationError("--from-lake", f"{text!r} ends before it begins", _EXAMPLE)
    return {"days": days, "end": end}
