"""Independent restatement of the reconciliation rules in plain, slow Python: by row and pane."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.reconcile_tables import (
    COUNTED,
    DUPLICATE,
    HOUR_US,
    LATE,
    NOTHING,
    Decided,
    Key,
    LakeLetter,
    Letter,
    Place,
    Sums,
    Tables,
    Worth,
    key_of,
    plus,
    sums_of,
)

MINUTE_US = 60_000_000
AGES_MINUTES = (0, 5, 15, 60, 360, 1440)


@dataclass(frozen=True)
class Evidence:
    """Evidence about one position.

    Attributes:
        pos: offset.
        archived, next: archive end and next offset of the partition.
        worth: record of the lake; None if it has none of the day.
        decided: row of the ledger.
        is_copy: an earlier position of the lake has the same record.
        is_own_copy: an earlier position of the partition has it.
        follows_counted: the ledger counts one of these earlier positions.
        letter: dead letter of the position; None without one.
    """

    pos: int
    archived: int
    next: int
    worth: Worth | None
    decided: Decided | None
    is_copy: bool
    is_own_copy: bool
    follows_counted: bool
    letter: Letter | None

    @property
    def b(self) -> bool:
        """Return whether the batch counts the record."""
        return self.worth is not None and not self.is_copy

    @property
    def l(self) -> bool:  # noqa: E743 - the design calls it so
        """Return whether the ledger counts the record."""
        return self.decided is not None and self.decided.fate == COUNTED

    @property
    def is_beyond_end(self) -> bool:
        """Return whether the ledger has a row at or above its own end."""
        return self.decided is not None and self.pos >= self.next

    @property
    def has_other_fate(self) -> bool:
        """Return whether the ledger gives the record a fate that the lake rules out."""
        if self.worth is None or self.decided is None or self.worth.is_quarantined:
            return False
        if self.decided.fate == LATE:
            return not self.worth.is_late
        return not self.is_own_copy if self.decided.fate == DUPLICATE else self.follows_counted


def _stamped(name: str) -> Callable[[Evidence], bool]:
    def differs(e: Evidence) -> bool:
        if e.worth is None or e.decided is None:
            return False
        return bool(getattr(e.worth, name) != getattr(e.decided, name))

    return differs


def _altered(e: Evidence) -> bool:
    """Something that is counted differs from the recomputed contribution of the record, whatever the cause."""
    if e.worth is None or e.decided is None:
        return False
    names = ("event_us", "community", "score", "verdict")
    return any(_stamped(name)(e) for name in names) or (e.b and not e.l and not e.worth.is_late) or e.has_other_fate


def _read_by_other_rules(e: Evidence) -> bool:
    """Other rules refused the record than those that read it now, or a proven replay released it."""
    if e.letter is None or e.worth is None:
        return False
    return e.letter.released or (not e.letter.failed and e.worth.letter_holds)


def _wrongly_refused(e: Evidence) -> bool:
    """The ledger has a dead letter of a record that its rules read, or of another record."""
    if e.letter is None or e.worth is None or not e.b or e.decided is not None:
        return False
    return not e.worth.is_quarantined and not _read_by_other_rules(e)


# Each cause is checked independently; the first that applies is the cause of the row.
EVIDENCE: dict[str, Callable[[Evidence], bool]] = {
    "unarchived": lambda e: e.l and e.worth is None and e.pos >= e.archived,
    "unprocessed": lambda e: e.b and e.decided is None and e.pos >= e.next,
    "quarantined": lambda e: e.b and e.decided is None and e.worth is not None and e.worth.is_quarantined,
    "lost": lambda e: e.worth is not None and e.decided is None and e.pos < e.next and e.letter is None,
    "phantom": lambda e: e.decided is not None and e.worth is None and e.pos < e.archived,
    "wrong_letter": _wrongly_refused,
    "recovered": lambda e: (
        e.worth is not None
        and e.b
        and not e.l
        and ((e.decided is None and _read_by_other_rules(e)) or (e.worth.is_replay and not e.has_other_fate))
    ),
    "late": lambda e: e.worth is not None and e.b and not e.l and e.worth.is_late and not e.has_other_fate,
    "duplicate": lambda e: e.l and e.is_copy and not e.has_other_fate,
    "other_model": lambda e: e.worth is not None and e.decided is not None and e.worth.is_other_model,
    "policy": _stamped("policy_version"),
    "rescored": lambda e: _stamped("model_version")(e) or _stamped("kernel_version")(e),
    "unexplained": _altered,
}


def cause_of(e: Evidence) -> str:
    """Return the first cause whose evidence applies."""
    if e.is_beyond_end:
        return "unexplained"
    return next((name for name, holds in EVIDENCE.items() if holds(e)), "unexplained")


@dataclass
class Expected:
    """Expected outcome."""

    differences: dict[tuple[Place, Key], tuple[str, Sums]]
    fields: set[tuple[Place, Key, str]]
    """Differences in what is not counted, in the pane of the ledger's row, or of the lake's if it is the only one."""
    letters: set[tuple[Place, str]]
    """Differences between dead letters and lake."""
    panes: dict[Key, tuple[Sums, Sums, Sums, int]]
    causes: dict[Key, dict[str, tuple[int, Sums]]]
    ages: dict[Key, tuple[int, ...]]
    agreement: dict[str, dict[str, dict[str, int]]]

    @property
    def rows(self) -> Counter[str]:
        """Return rows by cause; a row whose sides are in two panes counts once."""
        counted = {(place, cause) for (place, _), (cause, _) in self.differences.items()}
        fields = {(place, cause) for place, _, cause in self.fields}
        return Counter(cause for _, cause in counted | fields | self.letters)

    @property
    def all_differences(self) -> dict[tuple[Place, Key, str], Sums]:
        """Return the sums of all differences that belong to a pane."""
        counted = {(place, key, cause): sums for (place, key), (cause, sums) in self.differences.items()}
        return dict.fromkeys(self.fields, NOTHING) | counted


def evidence_of(tables: Tables) -> Iterator[tuple[Place, Evidence]]:
    """Return the evidence of every position in lake or ledger."""
    firsts: dict[tuple[str, bytes], Place] = {}
    own: dict[tuple[str, int, bytes], list[Place]] = defaultdict(list)
    for place, worth in sorted(tables.recomputed.items()):
        if not worth.is_quarantined:
            firsts.setdefault((place.topic_id, worth.record_id), place)
    for place in sorted(tables.recomputed.keys() | tables.ledger.keys()):
        known = tables.recomputed.get(place)
        is_copy = known is not None and not known.is_quarantined and firsts[place.topic_id, known.record_id] != place
        cut = tables.cuts.get((place.topic_id, place.part), (0, 0))
        earlier: list[Place] = []
        if known is not None and not known.is_quarantined:
            same = own[place.topic_id, place.part, known.record_id]
            earlier = list(same)
            same.append(place)
        yield (
            place,
            Evidence(
                place.pos,
                *cut,
                known,
                tables.ledger.get(place),
                is_copy,
                bool(earlier),
                any(each in tables.ledger and tables.ledger[each].fate == COUNTED for each in earlier),
                tables.letters.get(place),
            ),
        )


def expected_of(tables: Tables) -> Expected:
    """Compute the expected outcome."""
    differences: dict[tuple[Place, Key], tuple[str, Sums]] = {}
    fields: set[tuple[Place, Key, str]] = set()
    batch: dict[Key, Sums] = defaultdict(lambda: NOTHING)
    by_ledger: dict[Key, Sums] = defaultdict(lambda: NOTHING)
    late: Counter[Key] = Counter()
    verdicts: dict[str, list[tuple[str, int]]] = defaultdict(list)
    stored: dict[Key, list[int]] = defaultdict(list)
    for place, e in evidence_of(tables):
        moved: dict[Key, Sums] = defaultdict(lambda: NOTHING)
        if e.worth is not None and e.b:
            key = key_of(e.worth)
            batch[key] = plus(batch[key], sums_of(e.worth))
            moved[key] = plus(moved[key], sums_of(e.worth))
            late[key] += e.worth.is_late
            if not e.worth.is_quarantined:
                verdicts[e.worth.comment_id].append((e.worth.model_version, e.worth.verdict))
        if e.decided is not None:
            fields |= {(place, key_of(e.decided), cause) for cause in _fields_of(e)}
        only = e.worth if e.decided is None else e.decided if e.worth is None else None
        if only is not None and not e.b and not e.l and (cause := cause_of(e)) in ("lost", "phantom"):
            fields.add((place, key_of(only), cause))
        if e.decided is not None and e.l:
            key = key_of(e.decided)
            by_ledger[key] = plus(by_ledger[key], sums_of(e.decided))
            moved[key] = plus(moved[key], sums_of(e.decided), -1)
            hour_end_us = (e.decided.event_us // HOUR_US + 1) * HOUR_US
            stored[key].append(e.decided.stored_us - hour_end_us)
        differences |= {(place, key): (cause_of(e), sums) for key, sums in moved.items() if sums != NOTHING}
    causes: dict[Key, dict[str, tuple[int, Sums]]] = defaultdict(dict)
    expected = Expected(differences, fields, set(_letters_of(tables)), {}, causes, {}, _agreement(tables, verdicts))
    for (_, key, cause), sums in expected.all_differences.items():
        rows, total = causes[key].get(cause, (0, NOTHING))
        causes[key][cause] = rows + 1, plus(total, sums)
    panes = expected.panes
    for key in batch.keys() | tables.panes.keys() | causes.keys():
        speed = tables.panes.get(key, NOTHING)
        panes[key] = batch[key], speed, plus(by_ledger[key], speed, -1), late[key]
    expected.ages = {
        key: tuple(sum(after_us <= minutes * MINUTE_US for after_us in stored[key]) for minutes in AGES_MINUTES)
        for key in panes
    }
    return expected


def _fields_of(e: Evidence) -> Iterator[str]:
    """Yield the causes of differences that a sum may not show."""
    if e.is_beyond_end or e.has_other_fate or _contradicts(e):
        yield "unexplained"
    if e.worth is None or e.decided is None:
        return
    if (e.worth.comment_id, e.worth.record_id) != (e.decided.comment_id, e.decided.record_id):
        yield "other_id"
    if e.worth.append_us != e.decided.append_us:
        yield "other_time"
    if e.worth.is_other_model:
        yield "other_model"
    elif e.worth.reasons != e.decided.reasons and not e.worth.is_quarantined:
        names = ("verdict", "model_version", "kernel_version")
        if not any(_stamped(name)(e) for name in names):
            yield "other_reasons"
    if _stamped("policy_version")(e):
        yield "policy"
    elif _stamped("model_version")(e) or _stamped("kernel_version")(e):
        yield "rescored"


def _contradicts(e: Evidence) -> bool:
    """A row of the same versions has other values than the record."""
    if any(_stamped(name)(e) for name in ("event_us", "community", "repairs")):
        return True
    scorer = any(_stamped(name)(e) for name in ("model_version", "kernel_version"))
    if e.worth is None or e.worth.is_other_model or e.worth.is_quarantined or scorer:
        return False
    return _stamped("score")(e) or (_stamped("verdict")(e) and not _stamped("policy_version")(e))


def _letters_of(tables: Tables) -> Iterator[tuple[Place, str]]:
    """Yield the differences between dead letters and lake."""
    for place in tables.letters.keys() | tables.lake_letters.keys():
        letter, record = tables.letters.get(place), tables.lake_letters.get(place)
        archived, following = tables.cuts[place[:2]]
        if letter is not None and place in tables.ledger:
            yield place, "wrong_letter"
        elif record is None:
            if letter is not None and letter.is_of_day and place.pos < archived:
                yield place, "phantom_letter"
        elif letter is None:
            if record.reason and place.pos < following:
                yield place, "missing_letter"
        elif _tells_otherwise(letter, record):
            yield place, "wrong_letter"


def _tells_otherwise(letter: Letter, record: LakeLetter) -> bool:
    if any(getattr(letter, name) != getattr(record, name) for name in ("length", "sha256", "append_us")):
        return True
    return letter.reason != "processing_failed" and record.reason not in (None, letter.reason)


def _agreement(tables: Tables, verdicts: dict[str, list[tuple[str, int]]]) -> dict[str, dict[str, dict[str, int]]]:
    last: dict[str, tuple[int, str]] = {}
    for comment_id, action, time_us in sorted(tables.actions, key=lambda row: (row[2], row[1] == "approve")):
        last[comment_id] = time_us, action  # at the same instant approve is the last word
    found: dict[str, dict[str, dict[str, int]]] = {}
    for comment_id, (_, action) in last.items():
        for model_version, verdict in verdicts.get(comment_id, []):
            counts = found.setdefault(model_version, {}).setdefault(action, {})
            name = ("allow", "review", "remove")[verdict]
            counts[name] = counts.get(name, 0) + 1
    return found
