"""Read comments of the lake with labels from moderators' actions, for training and evaluation.

A record becomes an example when its label is mature. The label is the last action on the comment that was taken while
this text was current (from its event time until the comment was edited) and within the maturity. Without such an action
the comment counts as kept, because moderators who review everything act only on comments that they remove. Moderators
who review a sample state the inclusion probability in the action and approve the comments that they keep. Then comments
without an action should be left out.

If comments without an action are left out, the weight of an example is the inverse of its inclusion probability
(Horvitz and Thompson, A Generalization of Sampling Without Replacement From a Finite Universe, JASA 1952). If they are
kept, every comment is an example with weight 1. A larger weight would count comments twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import duckdb

from batch.progress import OnProgress, no_progress
from batch.record_isolation import Failure, failing_texts, parse_failure, report_failures
from batch.run_interval import Interval
from moderation.adapters.kafka.topics import ACTIONS, COMMENTS
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.reader import Lake, opened_lake
from moderation.contracts import ActionKind, Comment, Repair, read_record
from moderation.errors import InvalidRecord
from moderation.settings import Settings

NoAction = Literal["kept", "left out"]

# Each record once, with the time of the comment's next text.
_TEXTS = """
CREATE TABLE texts AS
SELECT record_id, comment_id, event_time_us, append_us, value, partition, "offset",
       lead(event_time_us) OVER (PARTITION BY comment_id ORDER BY event_time_us, record_id) AS edited_us
  FROM (SELECT *, row_number() OVER (PARTITION BY record_id ORDER BY append_us, partition, "offset") AS copy
          FROM comments WHERE event_time_us IS NOT NULL)
 WHERE copy = 1
"""
_LABELLED = """
WITH selected AS (
    SELECT * FROM texts WHERE event_time_us >= $start AND event_time_us < $end
), judged AS (
    SELECT t.record_id, a.kind, a.inclusion_probability,
           row_number() OVER (
               PARTITION BY t.record_id
               ORDER BY a.action_time_us DESC, a.append_us DESC, a.partition DESC, a."offset" DESC) AS nth
      FROM selected t
      JOIN actions a ON a.comment_id = t.comment_id AND a.action_time_us >= t.event_time_us
       AND a.action_time_us <= t.event_time_us + $maturity AND (t.edited_us IS NULL OR a.action_time_us < t.edited_us)
)
SELECT t.record_id, t.event_time_us, t.append_us, t.value, j.kind, j.inclusion_probability,
       t.partition, t."offset", coalesce(t.edited_us <= t.event_time_us + $maturity, false) AS is_superseded
  FROM selected t LEFT JOIN judged j ON j.record_id = t.record_id AND j.nth = 1
"""


@dataclass(frozen=True, slots=True)
class Example:
    """A comment with its label.

    Attributes:
        comment: the comment of the record.
        removed: whether the last action removed it.
        weight: number of comments that the example represents, 1 or more.
        partition, offset: position of the record in topic comments.
        repairs: of the record; they may require a review whatever the score is.
    """

    comment: Comment
    removed: bool
    weight: float
    partition: int = -1
    offset: int = -1
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelledExamples:
    """Labelled examples of an interval of the lake.

    Attributes:
        examples: in order of event time and record id.
        manifest_digest: SHA-256 over paths and digests of all files that were read, hexadecimal.
        counts: number of records, of examples, and of records by the reason why they are not examples.
        failures: records that cannot be parsed because of a defect, by position; they are not examples.
    """

    examples: list[Example]
    manifest_digest: str
    counts: dict[str, int]
    failures: list[Failure] = field(default_factory=list)


def read_examples(
    settings: Settings,
    interval: Interval,
    *,
    maturity_us: int,
    no_action: NoAction = "kept",
    most: int = 200_000,
    on_progress: OnProgress = no_progress,
) -> LabelledExamples:
    """Read the labelled comments of an interval.

    Args:
        settings: where lake and manifest are.
        interval: of event time. The labels at its end must be mature, or they are not final.
        maturity_us: how long after a comment its last action counts.
        no_action: meaning of a comment without an action.
        most: maximum number of examples. Of more, those with the smallest record ids are taken: a random sample that
            is the same each time.
        on_progress: receives one line at each step.

    Raises:
        LakeDamaged: a file is missing or not what was written.
        DatabaseUnavailable: the database cannot be reached.
    """
    with opened_lake(settings) as lake, duckdb.connect(config={"preserve_insertion_order": "false"}) as duck:
        labels = Interval(interval.start_us, interval.end_us + maturity_us)
        texts = Interval(
            interval.start_us, max(interval.end_us, labels.end_us)
        )  # an edit decides to which text an action belongs
        manifest_digest = _read(lake, duck, {COMMENTS.name: texts, ACTIONS.name: labels}, on_progress)
        bounds = {"start": interval.start_us, "end": interval.end_us, "maturity": maturity_us}
        duck.execute("CREATE TABLE labelled AS " + _LABELLED, bounds)
        counts = _counts(duck, no_action)
        rows = duck.execute(
            "SELECT * FROM (SELECT * FROM labelled WHERE kind IS NOT NULL OR (NOT is_superseded AND $kept) "
            "ORDER BY record_id LIMIT $most) ORDER BY event_time_us, record_id",
            {"kept": no_action == "kept", "most": most},
        )
        examples: list[Example] = []
        unreadable = 0
        failures: list[Failure] = []
        while some := rows.fetchmany(10_000):
            for _, _, append_us, value, kind, probability, partition, offset, _ in some:
                try:
                    read = read_record(value, append_us)
                except InvalidRecord:  # an earlier version could read it; the rules are stricter now
                    unreadable += 1
                    continue
                except Exception as error:
                    failures.append(Failure("", partition, offset, parse_failure(error, append_us)))
                    continue
                weight = 1 / probability if probability and no_action == "left out" else 1.0
                is_removed = kind == ActionKind.REMOVE
                examples.append(Example(read.comment, is_removed, weight, partition, offset, read.repairs))
            on_progress(f"{len(examples):,} comments with labels")
    report_failures(sorted(failures), on_progress)
    counts |= {"unreadable": unreadable, "failed": len(failures), "examples": len(examples)}
    return LabelledExamples(examples, manifest_digest, counts, sorted(failures))


def without_failing(
    examples: Sequence[Example], attempt: Callable[[Sequence[str]], object], error: Exception, on_progress: OnProgress
) -> tuple[list[Example], list[Failure]]:
    """Return the examples without those whose text alone makes a step fail; report these.

    Args:
        examples: those for which the step failed together.
        attempt: the step; it receives bodies and changes nothing.
        error: what it raised.
        on_progress: receives one line at each step.

    Raises:
        Exception: the same error if no record causes it, see :func:`batch.record_isolation.failing_texts`.
    """
    failed = failing_texts([each.comment.body for each in examples], attempt, error)
    failures = [Failure("", examples[at].partition, examples[at].offset, cause) for at, cause in failed.items()]
    report_failures(sorted(failures), on_progress)
    return [each for at, each in enumerate(examples) if at not in failed], sorted(failures)


def read_comments(
    settings: Settings, interval: Interval, *, most: int = 200_000, on_progress: OnProgress = no_progress
) -> tuple[list[Comment], str]:
    """Read every record of an interval once, in order of event time and record id; also return the digest of the files.

    Args:
        settings: where lake and manifest are.
        interval: of event time.
        most: maximum number of comments; see :func:`read_examples`.
        on_progress: receives one line at each step.

    Raises:
        LakeDamaged: a file is missing or not what was written.
        DatabaseUnavailable: the database cannot be reached.
    """
    # With a negative maturity no action counts and no text is superseded, so every record is an example.
    examples = read_examples(settings, interval, maturity_us=-1, most=most, on_progress=on_progress)
    return [example.comment for example in examples.examples], examples.manifest_digest


def _read(lake: Lake, duck: duckdb.DuckDBPyConnection, intervals: dict[str, Interval], on_progress: OnProgress) -> str:
    digest = hashlib.sha256()
    for topic, interval in intervals.items():
        files = lake.files_of_times(topic, interval.start_us, interval.end_us)
        on_progress(f"{len(files):,} files of {topic}")
        for path, sha256 in sorted((file.path, file.sha256) for file in files):
            digest.update(f"{path} {sha256}\n".encode())
        _view(lake, duck, topic, files)
    duck.execute(_TEXTS)
    return digest.hexdigest()


def _view(lake: Lake, duck: duckdb.DuckDBPyConnection, topic: str, files: Sequence[LakeFile]) -> None:
    lake.relation(duck, topic, files).create_view(topic)


def _counts(duck: duckdb.DuckDBPyConnection, no_action: NoAction) -> dict[str, int]:
    row = duck.execute(
        "SELECT count(*), count(kind), count(*) FILTER (WHERE kind IS NULL AND is_superseded), "
        "count(*) FILTER (WHERE kind IS NULL AND NOT is_superseded) FROM labelled"
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups is one row
    records, judged, superseded, silent = row
    return {
        "records": records,
        "with_action": judged,
        "superseded": superseded,
        f"without_action_{no_action.replace(' ', '_')}": silent,
    }
