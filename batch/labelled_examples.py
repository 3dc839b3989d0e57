"""Comments of the lake, and what people did with them: what models are trained and judged on.

A record is an example once its label is mature. Its label is the last action on its comment that was taken while this
text stood (from its event time until the comment was edited) and within the maturity. No such action means that it
was kept: people who look at everything act only on what they remove. Where they look at a sample, they say so in the
action's inclusion probability and approve what they keep; then comments without an action are better left out.

Where comments without an action are left out, an example weighs the inverse of its inclusion probability (Horvitz and
Thompson, A Generalization of Sampling Without Replacement From a Finite Universe, JASA 1952). Where they are kept,
every comment is an example and weighs 1: the audited ones would otherwise stand for comments that are there themselves.
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

# Every record once; what a comment's next text is, and since when.
_TEXTS = """
CREATE TABLE texts AS
SELECT record_id, comment_id, event_time_us, append_us, value, partition, "offset",
       lead(event_time_us) OVER (PARTITION BY comment_id ORDER BY event_time_us, record_id) AS edited_us
  FROM (SELECT *, row_number() OVER (PARTITION BY record_id ORDER BY append_us, partition, "offset") AS copy
          FROM comments WHERE event_time_us IS NOT NULL)
 WHERE copy = 1
"""
_LABELLED = """
WITH own AS (
    SELECT * FROM texts WHERE event_time_us >= $start AND event_time_us < $end
), judged AS (
    SELECT t.record_id, a.kind, a.inclusion_probability,
           row_number() OVER (
               PARTITION BY t.record_id
               ORDER BY a.action_time_us DESC, a.append_us DESC, a.partition DESC, a."offset" DESC) AS nth
      FROM own t
      JOIN actions a ON a.comment_id = t.comment_id AND a.action_time_us >= t.event_time_us
       AND a.action_time_us <= t.event_time_us + $maturity AND (t.edited_us IS NULL OR a.action_time_us < t.edited_us)
)
SELECT t.record_id, t.event_time_us, t.append_us, t.value, j.kind, j.inclusion_probability,
       t.partition, t."offset", coalesce(t.edited_us <= t.event_time_us + $maturity, false) AS is_superseded
  FROM own t LEFT JOIN judged j ON j.record_id = t.record_id AND j.nth = 1
"""


@dataclass(frozen=True, slots=True)
class Example:
    """A comment with its label.

    Attributes:
        comment: as it arrived.
        removed: whether the last action removed it.
        weight: how many comments it stands for, 1 or more.
        partition, offset: position of the record in topic comments.
        repairs: of the record; they may ask for a review whatever the score.
    """

    comment: Comment
    removed: bool
    weight: float
    partition: int = -1
    offset: int = -1
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelledExamples:
    """What the lake holds of a window.

    Attributes:
        examples: in order of event time and record id.
        manifest_digest: SHA-256 over paths and digests of all files that were read, hexadecimal.
        counts: how many records there were, and what became of those that are no example.
        failures: records that cannot be parsed because of a defect, by position; they are no examples.
    """

    examples: list[Example]
    manifest_digest: str
    counts: dict[str, int]
    failures: list[Failure] = field(default_factory=list)


def read_examples(
    settings: Settings,
    window: Interval,
    *,
    maturity_us: int,
    no_action: NoAction = "kept",
    most: int = 200_000,
    on_progress: OnProgress = no_progress,
) -> LabelledExamples:
    """Read the labelled comments of a window.

    Args:
        settings: where lake and manifest are.
        window: of event time. Labels of its end must be mature, or they are not the last word.
        maturity_us: how long after a comment its last action counts.
        no_action: what a comment without an action is.
        most: examples at most; of more, those with the smallest record ids are taken, a sample by chance that is the
            same each time.
        on_progress: receives one line at each step.

    Raises:
        LakeDamaged: a file is missing or not what was written.
        ConfigurationError: the database cannot be reached.
    """
    with opened_lake(settings) as lake, duckdb.connect(config={"preserve_insertion_order": "false"}) as duck:
        labels = Interval(window.start_us, window.end_us + maturity_us)
        texts = Interval(window.start_us, max(window.end_us, labels.end_us))  # an edit decides what an action was on
        manifest_digest = _read(lake, duck, {COMMENTS.name: texts, ACTIONS.name: labels}, on_progress)
        bounds = {"start": window.start_us, "end": window.end_us, "maturity": maturity_us}
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
                except InvalidRecord:  # an earlier version read it; this one has stricter rules
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
    """The examples without those whose text makes a step fail, each alone; these are named.

    Args:
        examples: what the step failed for together.
        attempt: the step; it gets bodies and changes nothing.
        error: what it raised.
        on_progress: receives one line at each step.

    Raises:
        Exception: the error again if it is not a record's, see :func:`batch.record_isolation.failing_texts`.
    """
    failed = failing_texts([each.comment.body for each in examples], attempt, error)
    failures = [Failure("", examples[at].partition, examples[at].offset, cause) for at, cause in failed.items()]
    report_failures(sorted(failures), on_progress)
    return [each for at, each in enumerate(examples) if at not in failed], sorted(failures)


def read_comments(
    settings: Settings, window: Interval, *, most: int = 200_000, on_progress: OnProgress = no_progress
) -> tuple[list[Comment], str]:
    """Every record of a window once, in order of event time and record id, and the digest of the files read.

    Args:
        settings: where lake and manifest are.
        window: of event time.
        most: comments at most; see :func:`read_examples`.
        on_progress: receives one line at each step.

    Raises:
        LakeDamaged: a file is missing or not what was written.
        ConfigurationError: the database cannot be reached.
    """
    # With a maturity of less than nothing no action counts and no text is superseded: every record is taken.
    found = read_examples(settings, window, maturity_us=-1, most=most, on_progress=on_progress)
    return [example.comment for example in found.examples], found.manifest_digest


def _read(lake: Lake, duck: duckdb.DuckDBPyConnection, windows: dict[str, Interval], on_progress: OnProgress) -> str:
    digest = hashlib.sha256()
    for topic, window in windows.items():
        found = lake.files_of_times(topic, window.start_us, window.end_us)
        on_progress(f"{len(found):,} files of {topic}")
        for path, sha256 in sorted((file.path, file.sha256) for file in found):
            digest.update(f"{path} {sha256}\n".encode())
        _view(lake, duck, topic, found)
    duck.execute(_TEXTS)
    return digest.hexdigest()


def _view(lake: Lake, duck: duckdb.DuckDBPyConnection, topic: str, found: Sequence[LakeFile]) -> None:
    lake.relation(duck, topic, found).create_view(topic)


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
