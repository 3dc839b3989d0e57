"""Read comments of the lake with labels from moderators' actions, for training and evaluation.

A record becomes an example when its label is mature. The label is the last action on the comment that was taken while
this text was current (from its event time until the comment was edited) and within the maturity. Without such an action
the comment counts as kept if it was shown, because moderators who review everything act only on comments that they
remove. The verdicts in the ledger say which comments were shown; :mod:`batch.label_rule` states the rule. Moderators
who review a sample state the inclusion probability in the action and approve the comments that they keep. Then comments
without an action should be left out, and the weight of an example is the inverse of the inclusion probability.

Of more records than a training can use, a sample is taken in the order of SHA-256(salt, record id). The salt is the
digest of the files that were read. A commenter can compute the record ids of many texts and send the one that suits,
but cannot foresee which other records the files contain.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from batch.label_rule import Label, LeftOut, NoAction, Served, label_of
from batch.progress import OnProgress, no_progress
from batch.record_isolation import Failure, failing_texts, parse_failure, report_failures
from batch.run_interval import Interval
from moderation.adapters.kafka.topics import ACTIONS, COMMENTS
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.reader import Lake, opened_lake
from moderation.adapters.reconciliation.served_verdicts import DecidedRange, export_verdicts
from moderation.contracts import ActionKind, Comment, Repair, Verdict, read_record
from moderation.errors import InvalidRecord
from moderation.settings import Settings, required

# Each record once, with the time of the comment's next text.
_TEXTS = """
CREATE TABLE texts AS
SELECT record_id, comment_id, event_time_us, append_us, value, partition, "offset",
       lead(event_time_us) OVER (PARTITION BY comment_id ORDER BY event_time_us, record_id) AS edited_us
  FROM (SELECT *, row_number() OVER (PARTITION BY record_id ORDER BY append_us, partition, "offset") AS copy
          FROM comments WHERE event_time_us IS NOT NULL)
 WHERE copy = 1
"""
_NO_VERDICTS = """
CREATE TABLE served (record_id BLOB, is_decided BOOLEAN, verdict VARCHAR, inclusion_ppm INTEGER, drawn_from VARCHAR)
"""
# Of the decisions on copies of a record, the first that did not allow it, else the first. A record is decided if the
# ledger accounts for the offset of one of its copies; if it has no decision there, the verdict is unknown.
_SERVED = """
CREATE TABLE served AS
SELECT record_id, is_decided, verdict, inclusion_ppm, drawn_from
  FROM (SELECT c.record_id, coalesce(c."offset" >= r.first AND c."offset" < r.next, false) AS is_decided,
               v.verdict, v.inclusion_ppm, v.drawn_from,
               row_number() OVER (
                   PARTITION BY c.record_id
                   ORDER BY v.verdict IS NULL, v.verdict = 'allow', NOT is_decided,
                            c.append_us, c.partition, c."offset") AS nth
          FROM comments c
          LEFT JOIN decided_ranges r ON r.topic_id = c.topic_id AND r.partition = c.partition
          LEFT JOIN verdicts v ON v.topic_id = c.topic_id AND v.part = c.partition AND v.pos = c."offset"
         WHERE c.event_time_us >= $start AND c.event_time_us < $end)
 WHERE nth = 1 AND (is_decided OR verdict IS NOT NULL)
"""
_LABELLED = """
CREATE TABLE labelled AS
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
SELECT t.record_id, t.event_time_us, t.append_us, t.value, t.partition, t."offset", j.kind, j.inclusion_probability,
       coalesce(t.edited_us <= t.event_time_us + $maturity, false) AS is_superseded,
       s.record_id IS NOT NULL AS is_decided, s.verdict, s.inclusion_ppm, s.drawn_from
  FROM selected t
  LEFT JOIN judged j ON j.record_id = t.record_id AND j.nth = 1
  LEFT JOIN served s ON s.record_id = t.record_id
"""
# All that the label of a record depends on. Few combinations occur, so the rule is evaluated once for each.
_CASES = """
CREATE TABLE cases AS
SELECT *, row_number() OVER () AS number
  FROM (SELECT kind, inclusion_probability, is_superseded, is_decided, verdict, inclusion_ppm, drawn_from,
               count(*) AS records FROM labelled GROUP BY ALL)
"""
_SAMPLE = """
SELECT * FROM (
    SELECT l.event_time_us, l.append_us, l.value, l.partition, l."offset", l.record_id, r.removed, r.weight
      FROM labelled l
      JOIN cases c ON l.kind IS NOT DISTINCT FROM c.kind AND l.verdict IS NOT DISTINCT FROM c.verdict
       AND l.inclusion_probability IS NOT DISTINCT FROM c.inclusion_probability
       AND l.is_superseded = c.is_superseded AND l.is_decided = c.is_decided
       AND l.inclusion_ppm IS NOT DISTINCT FROM c.inclusion_ppm AND l.drawn_from IS NOT DISTINCT FROM c.drawn_from
      JOIN rules r ON r.number = c.number
     ORDER BY sha256($salt || hex(l.record_id)) LIMIT $most)
 ORDER BY event_time_us, record_id
"""
_VERDICTS_USED = """
SELECT concat_ws(' ', hex(record_id), coalesce(verdict, 'unknown'), coalesce(inclusion_ppm, -1),
                 coalesce(drawn_from, '-'))
  FROM labelled WHERE is_decided ORDER BY record_id
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
        verdicts_digest: SHA-256 over the verdicts on the records, hexadecimal; None if no verdict was read.
        counts: number of records, of examples, and of records by the reason why they are not examples.
        failures: records that cannot be parsed because of a defect, by position; they are not examples.
    """

    examples: list[Example]
    manifest_digest: str
    counts: dict[str, int]
    failures: list[Failure] = field(default_factory=list)
    verdicts_digest: str | None = None


def read_examples(
    settings: Settings,
    interval: Interval,
    *,
    maturity_us: int,
    no_action: NoAction = "kept",
    most: int = 200_000,
    sample_salt: str | None = None,
    on_progress: OnProgress = no_progress,
) -> LabelledExamples:
    """Read the labelled comments of an interval.

    The same files, verdicts and arguments give the same examples.

    Args:
        settings: where lake, manifest and ledger are.
        interval: of event time. The labels at its end must be mature, or they are not final.
        maturity_us: how long after a comment its last action counts. If it is negative, no action and no verdict
            counts, and every record is an example.
        no_action: meaning of a comment without an action that was allowed or not decided.
        most: maximum number of examples; of more, a random sample is taken.
        sample_salt: determines the sample; the manifest digest if None. With the digest of an earlier reading, records
            that came since do not replace the sample of that time.
        on_progress: receives one line at each step.

    Raises:
        LakeDamaged: a file is missing or not what was written.
        DatabaseUnavailable: the database cannot be reached.
    """
    uses_verdicts = no_action == "kept" and maturity_us >= 0
    with (
        opened_lake(settings) as lake,
        duckdb.connect(config={"preserve_insertion_order": "false"}) as duck,
        tempfile.TemporaryDirectory(prefix="moderation-verdicts-") as scratch,
    ):
        labels = Interval(interval.start_us, interval.end_us + maturity_us)
        texts = Interval(
            interval.start_us, max(interval.end_us, labels.end_us)
        )  # an edit decides to which text an action belongs
        manifest_digest = _read(lake, duck, {COMMENTS.name: texts, ACTIONS.name: labels}, on_progress)
        bounds = {"start": interval.start_us, "end": interval.end_us}
        if uses_verdicts:
            topic, url = settings.topic_prefix + COMMENTS.name, required(settings.database_url, "database_url")
            ranges = export_verdicts(url, topic, (interval.start_us, interval.end_us), Path(scratch))
            _join_verdicts(duck, ranges, Path(scratch), bounds)
        else:
            duck.execute(_NO_VERDICTS)
        duck.execute(_LABELLED, {**bounds, "maturity": maturity_us})
        verdicts_digest = _verdicts_digest(duck) if uses_verdicts else None
        counts = _apply_rule(duck, no_action)
        rows = duck.execute(_SAMPLE, {"most": most, "salt": manifest_digest if sample_salt is None else sample_salt})
        examples: list[Example] = []
        unreadable = 0
        failures: list[Failure] = []
        while some := rows.fetchmany(10_000):
            for _, append_us, value, partition, offset, _, is_removed, weight in some:
                try:
                    read = read_record(value, append_us)
                except InvalidRecord:  # an earlier version could read it; the rules are stricter now
                    unreadable += 1
                    continue
                except Exception as error:
                    failures.append(Failure("", partition, offset, parse_failure(error, append_us)))
                    continue
                examples.append(Example(read.comment, is_removed, weight, partition, offset, read.repairs))
            on_progress(f"{len(examples):,} comments with labels")
    report_failures(sorted(failures), on_progress)
    counts |= {"unreadable": unreadable, "failed": len(failures), "examples": len(examples)}
    return LabelledExamples(examples, manifest_digest, counts, sorted(failures), verdicts_digest)


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
    """Create a view of files with the topic id of each record, which is not in the files themselves."""
    by_id: dict[str, list[LakeFile]] = {}
    for file in files:
        by_id.setdefault(str(file.topic_partition.topic_id), []).append(file)
    parts = [
        lake.relation(duck, topic, some).project(f"*, '{topic_id}' AS topic_id")
        for topic_id, some in by_id.items() or [("", [])]
    ]
    union = parts[0]
    for part in parts[1:]:
        union = union.union(part)
    union.create_view(topic)


def _join_verdicts(
    duck: duckdb.DuckDBPyConnection, ranges: Sequence[DecidedRange], folder: Path, bounds: dict[str, int]
) -> None:
    duck.execute('CREATE TABLE decided_ranges (topic_id VARCHAR, partition INTEGER, "first" BIGINT, next BIGINT)')
    if ranges:
        duck.executemany("INSERT INTO decided_ranges VALUES (?, ?, ?, ?)", ranges)
    duck.read_parquet(str(folder / "*.parquet"), hive_partitioning=False).create_view("verdicts")
    duck.execute(_SERVED, bounds)


def _verdicts_digest(duck: duckdb.DuckDBPyConnection) -> str:
    digest = hashlib.sha256()
    rows = duck.execute(_VERDICTS_USED)
    while some := rows.fetchmany(10_000):
        digest.update("".join(f"{line}\n" for (line,) in some).encode())
    return digest.hexdigest()


def _apply_rule(duck: duckdb.DuckDBPyConnection, no_action: NoAction) -> dict[str, int]:
    """Create table ``rules`` with label and weight of each case that has a label; return the counts of records."""
    kept_or_not = f"without_action_{no_action.replace(' ', '_')}"
    counts = {"records": 0, "with_action": 0, LeftOut.SUPERSEDED.value: 0, kept_or_not: 0}
    if no_action == "kept":
        counts |= {LeftOut.NOT_ALLOWED.value: 0, LeftOut.VERDICT_UNKNOWN.value: 0}
    duck.execute(_CASES)
    rules: list[tuple[int, bool, float]] = []
    for (
        kind,
        probability,
        is_superseded,
        is_decided,
        verdict,
        inclusion_ppm,
        drawn_from,
        records,
        number,
    ) in duck.execute("SELECT * FROM cases").fetchall():
        served = _served(verdict, inclusion_ppm, drawn_from) if is_decided else None
        action = None if kind is None else ActionKind(kind)
        label = label_of(action, probability, served, is_superseded=is_superseded, no_action=no_action)
        counts["records"] += records
        if isinstance(label, Label):
            rules.append((number, label.removed, label.weight))
            counts[kept_or_not if action is None else "with_action"] += records
        else:
            counts[label.value] += records
    columns = zip(*rules, strict=True) if rules else ((), (), ())
    types = {"number": pa.int64(), "removed": pa.bool_(), "weight": pa.float64()}
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types.values(), strict=True)]
    duck.from_arrow(pa.table(arrays, names=list(types))).create("rules")
    return counts


def _served(verdict: str | None, inclusion_ppm: int | None, drawn_from: str | None) -> Served:
    drawn = None if drawn_from is None else Verdict(drawn_from)
    return Served(None if verdict is None else Verdict(verdict), inclusion_ppm, drawn)
