"""Reconciliation rules as portable SQL for DuckDB and Spark.

Inputs, one view each; ``part`` and ``pos`` stand for partition and offset, verdicts and fates are numbers:

- ``recomputed``: the lake's records of the day, recomputed. topic_id, part, pos, event_us, append_us, community,
  comment_id, record_hash, record_id, score, verdict, reasons (JSON, empty for none), is_late, is_replay, model_version,
  policy_version, kernel_version, repairs, letter_holds: whether its dead letter names other rules, and they refuse
  it for the reason of the letter; is_quarantined: its bytes are those of a dead letter
  ``processing_failed``; it is not scored. is_other_model: the model has another digest than the one that served.
  digest_upper, digest_lower: see :mod:`moderation.adapters.reconciliation.row_digests`
- ``compared``: those of ``recomputed`` that are compared row by row with the ledger: all of them, or without those of
  hours with equal digests that count alike (:mod:`batch.reconcile.digests`)
- ``ledger``: the speed layer's rows of the day. topic_id, part, pos, event_us, append_us, community, comment_id,
  record_id, score, verdict, reasons, fate, stored_us, model_version, policy_version, kernel_version, repairs
- ``stored_ages``: pane key and counts ``age0``, …, of rows that ``ledger`` does not have, or has without ``stored_us``
- ``speed_panes``: its panes of the day, as maintained. Pane key, comments, reviews, removals, score_sum
- ``letters``: dead letters. topic_id, part, pos, append_us, reason, length, sha256; failed: whether it is a
  ``processing_failed`` whose replay was not decided; released: whether its replay is proven; is_of_day: whether it
  was appended on the day
- ``lake_letters``: records that were appended on the day and that their rules refuse, or that have a dead letter.
  topic_id, part, pos, append_us, length, sha256, reason: why the rules that the dead letter names refuse it, or
  without one those of its offset; empty if they do not, null if that is unknown
- ``cuts``: by partition, ``archived`` is the end of the lake and ``next`` the end of the ledger
- ``actions``: comment_id, action and its time

Each statement creates the table of its name from inputs and earlier tables. An input of a statement's name replaces the
statement.
"""

from __future__ import annotations

from moderation.adapters.reconciliation.ledger_digests import AGES_US
from moderation.contracts import Cause, DeadLetterReason, Fate, Verdict
from moderation.panes import MEASURES, PANE_US
from moderation.timestamps import HOUR_US

VERDICTS = tuple(Verdict)
"""The number of a verdict is its index here."""
FATES = tuple(Fate)
"""The number of a fate is its index here."""
KEY = ("topic_id", "part", "community", "start_us", "model_version", "policy_version")

_REVIEW, _REMOVE = VERDICTS.index(Verdict.REVIEW), VERDICTS.index(Verdict.REMOVE)
_COUNTED, _LATE, _DUPLICATE = (FATES.index(fate) for fate in (Fate.COUNTED, Fate.LATE, Fate.DUPLICATE))
_KEYS = ", ".join(KEY)


def _sums(of: str) -> str:
    return ", ".join(f"CAST(SUM({of.format(measure)}) AS BIGINT) AS {measure}" for measure in MEASURES)


REPEATED = """
SELECT r.topic_id, r.part, r.pos, r.record_id, r.is_late FROM recomputed r
  JOIN (SELECT topic_id, record_hash FROM recomputed WHERE NOT is_quarantined
         GROUP BY topic_id, record_hash HAVING COUNT(*) > 1) h
    ON h.topic_id = r.topic_id AND h.record_hash = r.record_hash
 WHERE NOT r.is_quarantined
"""
"""Records that may have copies: a hash of 64 bits finds the few. A quarantined record is not a copy and has none."""
COPIES_OF_REPEATED = """
SELECT topic_id, part, pos FROM (
    SELECT topic_id, part, pos, ROW_NUMBER() OVER (PARTITION BY topic_id, record_id ORDER BY part, pos) AS nth
      FROM repeated) n
 WHERE nth > 1
"""
"""The copies among them: all but the first one, by partition, then by offset. The whole record id decides."""

# Copies of an earlier record of their partition; follows_counted: whether the worker counted one of the earlier ones. A
# record that is not compared is in the ledger, and counted.
_OWN_COPIES = f"""
SELECT topic_id, part, pos, follows_counted FROM (
    SELECT r.topic_id, r.part, r.pos,
           ROW_NUMBER() OVER (PARTITION BY r.topic_id, r.part, r.record_id ORDER BY r.pos) AS nth,
           SUM(CASE WHEN m.pos IS NULL OR l.fate = {_COUNTED} THEN 1 ELSE 0 END) OVER (
               PARTITION BY r.topic_id, r.part, r.record_id ORDER BY r.pos
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) > 0 AS follows_counted
      FROM recomputed r
      JOIN (SELECT DISTINCT i.topic_id, i.part, i.record_hash, i.record_id
              FROM recomputed i JOIN copies c ON c.topic_id = i.topic_id AND c.part = i.part AND c.pos = i.pos) i
        ON i.topic_id = r.topic_id AND i.part = r.part AND i.record_hash = r.record_hash AND i.record_id = r.record_id
      LEFT JOIN compared m ON m.topic_id = r.topic_id AND m.part = r.part AND m.pos = r.pos
      LEFT JOIN ledger l ON l.topic_id = r.topic_id AND l.part = r.part AND l.pos = r.pos
     WHERE NOT r.is_quarantined) n
 WHERE nth > 1
"""

# Two rows of one offset: the ledger's key contains the append day, so that it accepts them.
_DOUBLED = "SELECT topic_id, part, pos FROM ledger GROUP BY topic_id, part, pos HAVING COUNT(*) > 1"

_BATCH_PANES = f"""
SELECT r.topic_id, r.part, r.community, r.event_us - r.event_us % {PANE_US} AS start_us, r.model_version,
       r.policy_version, CAST(COUNT(*) AS BIGINT) AS comments,
       CAST(SUM(CASE WHEN r.verdict = {_REVIEW} THEN 1 ELSE 0 END) AS BIGINT) AS reviews,
       CAST(SUM(CASE WHEN r.verdict = {_REMOVE} THEN 1 ELSE 0 END) AS BIGINT) AS removals,
       CAST(SUM(r.score) AS BIGINT) AS score_sum,
       CAST(SUM(CASE WHEN r.is_late THEN 1 ELSE 0 END) AS BIGINT) AS late
  FROM recomputed r LEFT JOIN copies c ON c.topic_id = r.topic_id AND c.part = r.part AND c.pos = r.pos
 WHERE c.pos IS NULL
 GROUP BY r.topic_id, r.part, r.community, r.event_us - r.event_us % {PANE_US}, r.model_version, r.policy_version
"""

_OTHER_SCORER = "(r.model_version <> l.model_version OR r.kernel_version <> l.kernel_version)"
_SAME_SCORER = f"(NOT {_OTHER_SCORER} AND NOT r.is_other_model AND NOT r.is_quarantined)"
# Another verdict or model gives other reasons; that difference has its own cause.
_OTHER_REASONS = f"(r.reasons <> l.reasons AND r.verdict = l.verdict AND {_SAME_SCORER})"
_ALTERED = (
    "(r.event_us <> l.event_us OR r.community <> l.community OR r.repairs <> l.repairs "
    f"OR ({_SAME_SCORER} AND (r.score <> l.score OR (r.verdict <> l.verdict AND r.policy_version = l.policy_version))))"
)
# A fate that the worker does not give the record. That it counts a record that is late by the lake is no difference:
# the batch counts it, too, and a record that a replay released moved no watermark of the worker.
_OTHER_FATE = (
    f"(NOT r.is_quarantined AND ((l.fate = {_LATE} AND NOT r.is_late) OR (l.fate = {_DUPLICATE} AND o.pos IS NULL) "
    f"OR (l.fate = {_COUNTED} AND o.follows_counted)))"
)
# A decision at or above the ledger's own end.
_BEYOND_END = "l.pos >= COALESCE(k.next, 0)"

# Rows that differ. ``b`` and ``l`` are 1 if batch or ledger counts the row.
_UNEQUAL = f"""
SELECT COALESCE(r.topic_id, l.topic_id) AS topic_id, COALESCE(r.part, l.part) AS part, COALESCE(r.pos, l.pos) AS pos,
       CASE WHEN r.pos IS NULL OR c.pos IS NOT NULL THEN 0 ELSE 1 END AS b,
       CASE WHEN l.fate = {_COUNTED} THEN 1 ELSE 0 END AS l,
       r.pos IS NOT NULL AS in_lake, l.pos IS NOT NULL AS in_ledger,
       r.event_us AS b_event_us, r.community AS b_community, r.score AS b_score, r.verdict AS b_verdict,
       r.model_version AS b_model, r.policy_version AS b_policy, r.comment_id,
       COALESCE(r.letter_holds, FALSE) AS letter_holds,
       COALESCE(r.comment_id <> l.comment_id OR r.record_id <> l.record_id, FALSE) AS other_id,
       COALESCE(r.append_us <> l.append_us, FALSE) AS other_time, COALESCE({_OTHER_REASONS}, FALSE) AS other_reasons,
       COALESCE(r.is_other_model AND l.pos IS NOT NULL, FALSE) AS other_model,
       COALESCE(r.policy_version <> l.policy_version, FALSE) AS other_policy,
       COALESCE({_OTHER_SCORER}, FALSE) AS other_scorer, COALESCE({_ALTERED}, FALSE) AS altered,
       COALESCE({_OTHER_FATE}, FALSE) AS other_fate, COALESCE({_BEYOND_END}, FALSE) AS beyond_end,
       t.pos IS NOT NULL AS is_doubled,
       COALESCE(r.is_late, FALSE) AS is_late, COALESCE(r.is_replay, FALSE) AS is_replay, c.pos IS NOT NULL AS is_copy,
       COALESCE(r.is_quarantined, FALSE) AS is_quarantined,
       l.event_us AS l_event_us, l.community AS l_community, l.score AS l_score, l.verdict AS l_verdict,
       l.model_version AS l_model, l.policy_version AS l_policy, l.fate AS l_fate
  FROM compared r
  FULL OUTER JOIN ledger l ON l.topic_id = r.topic_id AND l.part = r.part AND l.pos = r.pos
  LEFT JOIN copies c ON c.topic_id = r.topic_id AND c.part = r.part AND c.pos = r.pos
  LEFT JOIN own_copies o ON o.topic_id = r.topic_id AND o.part = r.part AND o.pos = r.pos
  LEFT JOIN cuts k ON k.topic_id = l.topic_id AND k.part = l.part
  LEFT JOIN doubled t ON t.topic_id = l.topic_id AND t.part = l.part AND t.pos = l.pos
 WHERE r.pos IS NULL OR l.pos IS NULL OR l.fate <> {_COUNTED} OR c.pos IS NOT NULL
    OR r.score <> l.score OR r.verdict <> l.verdict OR r.event_us <> l.event_us OR r.community <> l.community
    OR r.policy_version <> l.policy_version OR r.repairs <> l.repairs OR {_OTHER_SCORER}
    OR r.comment_id <> l.comment_id OR r.record_id <> l.record_id OR r.append_us <> l.append_us OR r.is_other_model
    OR {_OTHER_REASONS} OR {_BEYOND_END} OR t.pos IS NOT NULL
"""

# A record with a dead letter was refused: by other rules, which refuse it now, too, or a proven replay released it.
_READ_BY_OTHER_RULES = "(d.released OR (NOT d.failed AND u.letter_holds))"

# The first cause that applies, in the order of ``Cause`` but for the first; each needs evidence other than the
# difference itself. Rows that only one side has are among them though neither side counts them.
_CAUSES = f"""
SELECT u.*, CASE
       WHEN u.beyond_end THEN '{Cause.UNEXPLAINED}'
       WHEN NOT u.in_lake AND u.pos >= COALESCE(k.archived, 0) THEN '{Cause.UNARCHIVED}'
       WHEN NOT u.in_ledger AND u.pos >= COALESCE(k.next, 0) THEN '{Cause.UNPROCESSED}'
       WHEN NOT u.in_ledger AND u.is_quarantined THEN '{Cause.QUARANTINED}'
       WHEN NOT u.in_ledger AND d.pos IS NULL THEN '{Cause.LOST}'
       WHEN NOT u.in_lake THEN '{Cause.PHANTOM}'
       WHEN NOT u.in_ledger AND NOT {_READ_BY_OTHER_RULES} THEN '{Cause.WRONG_LETTER}'
       WHEN NOT u.in_ledger OR (u.is_replay AND u.l = 0 AND NOT u.other_fate) THEN '{Cause.RECOVERED}'
       WHEN u.is_late AND u.l = 0 AND NOT u.other_fate THEN '{Cause.LATE}'
       WHEN u.is_copy AND u.l = 1 AND NOT u.other_fate THEN '{Cause.DUPLICATE}'
       WHEN u.other_model THEN '{Cause.OTHER_MODEL}'
       WHEN u.other_policy THEN '{Cause.POLICY}'
       WHEN u.other_scorer THEN '{Cause.RESCORED}'
       ELSE '{Cause.UNEXPLAINED}' END AS cause
  FROM unequal u
  LEFT JOIN cuts k ON k.topic_id = u.topic_id AND k.part = u.part
  LEFT JOIN letters d ON d.topic_id = u.topic_id AND d.part = u.part AND d.pos = u.pos
 WHERE u.b = 1 OR u.l = 1 OR NOT u.in_lake OR NOT u.in_ledger
"""


def _side(side: str, sign: str) -> str:
    return f"""
    SELECT topic_id, part, pos, cause, {side}_community AS community,
           {side}_event_us - {side}_event_us % {PANE_US} AS start_us,
           {side}_model AS model_version, {side}_policy AS policy_version, {sign}1 AS comments,
           {sign}CASE WHEN {side}_verdict = {_REVIEW} THEN 1 ELSE 0 END AS reviews,
           {sign}CASE WHEN {side}_verdict = {_REMOVE} THEN 1 ELSE 0 END AS removals,
           {sign}CAST({side}_score AS BIGINT) AS score_sum,
           0 AS is_named,
           comment_id, COALESCE(b_event_us, l_event_us) AS event_us, b_score, b_verdict, l_score, l_verdict, l_fate
      FROM causes WHERE {side} = 1"""


_DETAILS = ("comment_id", "event_us", "b_score", "b_verdict", "l_score", "l_verdict", "l_fate")

# Differences that a sum may not show: each has its own cause in the pane of the ledger, and no amount.
_FIELDS = {
    "other_id": Cause.OTHER_ID,
    "other_time": Cause.OTHER_TIME,
    "other_reasons": Cause.OTHER_REASONS,
    "other_model": Cause.OTHER_MODEL,
    "other_policy": Cause.POLICY,
    "other_scorer AND NOT other_policy": Cause.RESCORED,
    "altered OR other_fate OR beyond_end OR is_doubled": Cause.UNEXPLAINED,
}


def _named(cause: Cause, side: str, source: str) -> str:
    """Return rows that have a cause and no amount, in the pane of one side."""
    return f"""
    SELECT topic_id, part, pos, '{cause}' AS cause, {side}_community AS community,
           {side}_event_us - {side}_event_us % {PANE_US} AS start_us, {side}_model AS model_version,
           {side}_policy AS policy_version, {", ".join(f"0 AS {measure}" for measure in MEASURES)}, 1 AS is_named,
           comment_id, COALESCE(b_event_us, l_event_us) AS event_us, b_score, b_verdict, l_score, l_verdict, l_fate
      FROM {source}"""


# A copy that only the lake has, or a late row or a copy that only the ledger has: no pane counts it.
_NOT_COUNTED = {"b": Cause.LOST, "l": Cause.PHANTOM}
_NAMED = [
    *(_named(cause, "l", f"unequal WHERE {flag}") for flag, cause in _FIELDS.items()),
    *(
        _named(cause, side, f"causes WHERE b = 0 AND l = 0 AND cause = '{cause}'")
        for side, cause in _NOT_COUNTED.items()
    ),
]

# A row whose two sides are in different panes is one difference in each.
_DIFFERENCES = f"""
SELECT topic_id, part, pos, cause, community, start_us, model_version, policy_version, {_sums("{}")},
       {", ".join(f"MAX({name}) AS {name}" for name in _DETAILS)}
  FROM ({_side("b", "")}
     UNION ALL {_side("l", "-")}
     UNION ALL {" UNION ALL ".join(_NAMED)}) sides
 GROUP BY topic_id, part, pos, cause, community, start_us, model_version, policy_version
HAVING {" OR ".join(f"SUM({measure}) <> 0" for measure in MEASURES)} OR MAX(is_named) = 1
"""

# Dead letters of the ledger beside the lake. Neither side is in a pane. A record has a decision or a dead letter.
_LETTER_TERMS = f"""
SELECT topic_id, part, pos, append_us, cause FROM (
    SELECT COALESCE(d.topic_id, r.topic_id) AS topic_id, COALESCE(d.part, r.part) AS part,
           COALESCE(d.pos, r.pos) AS pos, COALESCE(r.append_us, d.append_us) AS append_us, CASE
           WHEN l.pos IS NOT NULL THEN '{Cause.WRONG_LETTER}'
           WHEN r.pos IS NULL THEN CASE WHEN d.is_of_day AND d.pos < COALESCE(k.archived, 0)
                                        THEN '{Cause.PHANTOM_LETTER}' END
           WHEN d.pos IS NULL THEN CASE WHEN r.pos < COALESCE(k.next, 0) AND r.reason <> ''
                                        THEN '{Cause.MISSING_LETTER}' END
           WHEN r.length <> d.length OR r.sha256 <> d.sha256 OR r.append_us <> d.append_us
                THEN '{Cause.WRONG_LETTER}'
           WHEN d.reason <> '{DeadLetterReason.PROCESSING_FAILED}' AND r.reason <> d.reason
                THEN '{Cause.WRONG_LETTER}' END AS cause
      FROM letters d
      FULL OUTER JOIN lake_letters r ON r.topic_id = d.topic_id AND r.part = d.part AND r.pos = d.pos
      LEFT JOIN cuts k ON k.topic_id = COALESCE(d.topic_id, r.topic_id) AND k.part = COALESCE(d.part, r.part)
      LEFT JOIN ledger l ON l.topic_id = d.topic_id AND l.part = d.part AND l.pos = d.pos
    ) compared
 WHERE cause IS NOT NULL
"""

_PANE_CAUSES = f"""
SELECT {_KEYS}, cause, CAST(COUNT(*) AS BIGINT) AS differing, {_sums("{}")}
  FROM differences GROUP BY {_KEYS}, cause
"""

_AGE_NAMES = [f"age{number}" for number in range(len(AGES_US))]
_AGES = f"""
SELECT {_KEYS}, {", ".join(f"CAST(SUM({name}) AS BIGINT) AS {name}" for name in _AGE_NAMES)} FROM (
SELECT l.topic_id, l.part, l.community, l.event_us - l.event_us % {PANE_US} AS start_us, l.model_version,
       l.policy_version, {
    ", ".join(
        f"CAST(SUM(CASE WHEN l.stored_us <= l.event_us - l.event_us % {HOUR_US} + {HOUR_US + age_us} "
        f"THEN 1 ELSE 0 END) AS BIGINT) AS age{number}"
        for number, age_us in enumerate(AGES_US)
    )
}
  FROM ledger l WHERE l.fate = {_COUNTED}
 GROUP BY l.topic_id, l.part, l.community, l.event_us - l.event_us % {PANE_US}, l.model_version, l.policy_version
 UNION ALL
SELECT {_KEYS}, {", ".join(_AGE_NAMES)} FROM stored_ages) sides
 GROUP BY {_KEYS}
"""

_SIDES = ("batch", "speed", "caused")
_TABLES = {"batch": ("batch_panes", "late"), "speed": ("speed_panes", "0"), "caused": ("pane_causes", "0")}
_PANES = f"""
SELECT {_KEYS}, {
    ", ".join(
        f"CAST(SUM(CASE WHEN side = '{side}' THEN {measure} ELSE 0 END) AS BIGINT) AS {side}_{measure}"
        for side in _SIDES
        for measure in MEASURES
    )
}, CAST(SUM(late) AS BIGINT) AS late
  FROM ({
    " UNION ALL ".join(
        f"SELECT {_KEYS}, '{side}' AS side, {', '.join(MEASURES)}, {late} AS late FROM {table}"
        for side, (table, late) in _TABLES.items()
    )
}) sides
 GROUP BY {_KEYS}
"""

# If moderators acted on a comment more than once, the last action counts.
_AGREEMENT = """
SELECT r.model_version, a.action, r.verdict, CAST(COUNT(*) AS BIGINT) AS comments
  FROM (SELECT comment_id, action, ROW_NUMBER() OVER (PARTITION BY comment_id
               ORDER BY action_time_us DESC, action) AS nth FROM actions) a
  JOIN recomputed r ON r.comment_id = a.comment_id
  LEFT JOIN copies c ON c.topic_id = r.topic_id AND c.part = r.part AND c.pos = r.pos
 WHERE a.nth = 1 AND c.pos IS NULL AND NOT r.is_quarantined
 GROUP BY r.model_version, a.action, r.verdict
"""

STATEMENTS: dict[str, str] = {
    "copies": f"WITH repeated AS ({REPEATED}) {COPIES_OF_REPEATED}",
    "own_copies": _OWN_COPIES,
    "doubled": _DOUBLED,
    "batch_panes": _BATCH_PANES,
    "unequal": _UNEQUAL,
    "causes": _CAUSES,
    "differences": _DIFFERENCES,
    "letter_terms": _LETTER_TERMS,
    "pane_causes": _PANE_CAUSES,
    "ages": _AGES,
    "panes": _PANES,
    "agreement": _AGREEMENT,
}
"""All statements by the name of their table, in order."""
INPUTS = (
    "recomputed",
    "compared",
    "ledger",
    "stored_ages",
    "speed_panes",
    "letters",
    "lake_letters",
    "cuts",
    "actions",
)
"""The inputs by the name of their view and folder."""
RESULTS = ("panes", "pane_causes", "ages", "differences", "letter_terms", "agreement")
"""The tables that are the result."""
