"""Reconciliation rules as portable SQL for DuckDB and Spark.

Inputs, one view each; ``part`` and ``pos`` stand for partition and offset, verdicts and fates are numbers:

- ``recomputed``: the lake's records of the day, recomputed. topic_id, part, pos, event_us, community,
  comment_id, record_hash, record_id, score, verdict, is_late, is_replay, model_version, policy_version,
  kernel_version, repairs, is_quarantined: its bytes are those of a dead letter ``processing_failed``; it is not scored
- ``ledger``: the speed layer's rows of the day. topic_id, part, pos, event_us, community, score, verdict, fate,
  stored_us, model_version, policy_version, kernel_version, repairs
- ``speed_panes``: its panes of the day, as maintained. Pane key, comments, reviews, removals, score_sum
- ``letters``: positions of dead letters. topic_id, part, pos, failed: whether it is a ``processing_failed``
  whose replay was not decided
- ``cuts``: by partition, ``archived`` is the end of the lake and ``next`` the end of the ledger
- ``actions``: comment_id, action and its time

Each statement creates the table of its name from inputs and earlier tables.
"""

from __future__ import annotations

from moderation.contracts import Cause, Fate, Verdict
from moderation.panes import MEASURES, PANE_US
from moderation.timestamps import HOUR_US

VERDICTS = tuple(Verdict)
"""The number of a verdict is its index here."""
FATES = tuple(Fate)
"""The number of a fate is its index here."""
KEY = ("topic_id", "part", "community", "start_us", "model_version", "policy_version")
AGES_US = (0, 300_000_000, 900_000_000, 3_600_000_000, 21_600_000_000, 86_400_000_000)
"""Times after the end of a pane's hour at which provisional numbers are measured."""

_REVIEW, _REMOVE = VERDICTS.index(Verdict.REVIEW), VERDICTS.index(Verdict.REMOVE)
_COUNTED = FATES.index(Fate.COUNTED)
_KEYS = ", ".join(KEY)


def _sums(of: str) -> str:
    return ", ".join(f"CAST(SUM({of.format(measure)}) AS BIGINT) AS {measure}" for measure in MEASURES)


# Of several copies of a record the first one counts: by partition, then by offset. A hash of 64 bits finds the few
# records that may have copies; the whole record id decides. A quarantined record is not a copy and has no copies.
_COPIES = """
SELECT topic_id, part, pos FROM (
    SELECT r.topic_id, r.part, r.pos,
           ROW_NUMBER() OVER (PARTITION BY r.topic_id, r.record_id ORDER BY r.part, r.pos) AS nth
      FROM recomputed r
      JOIN (SELECT topic_id, record_hash FROM recomputed WHERE NOT is_quarantined
             GROUP BY topic_id, record_hash HAVING COUNT(*) > 1) h
        ON h.topic_id = r.topic_id AND h.record_hash = r.record_hash
     WHERE NOT r.is_quarantined) n
 WHERE nth > 1
"""

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

# Rows whose contributions to batch and speed differ. ``b`` and ``l`` are 1 if batch or ledger counts the row.
_UNEQUAL = f"""
SELECT COALESCE(r.topic_id, l.topic_id) AS topic_id, COALESCE(r.part, l.part) AS part, COALESCE(r.pos, l.pos) AS pos,
       CASE WHEN r.pos IS NULL OR c.pos IS NOT NULL THEN 0 ELSE 1 END AS b,
       CASE WHEN l.fate = {_COUNTED} THEN 1 ELSE 0 END AS l,
       r.pos IS NOT NULL AS in_lake, l.pos IS NOT NULL AS in_ledger,
       r.event_us AS b_event_us, r.community AS b_community, r.score AS b_score, r.verdict AS b_verdict,
       r.model_version AS b_model, r.policy_version AS b_policy, r.kernel_version AS b_kernel, r.comment_id,
       COALESCE(r.repairs <> l.repairs, FALSE) AS other_repairs,
       COALESCE(r.is_late, FALSE) AS is_late, COALESCE(r.is_replay, FALSE) AS is_replay, c.pos IS NOT NULL AS is_copy,
       COALESCE(r.is_quarantined, FALSE) AS is_quarantined,
       l.event_us AS l_event_us, l.community AS l_community, l.score AS l_score, l.verdict AS l_verdict,
       l.model_version AS l_model, l.policy_version AS l_policy, l.kernel_version AS l_kernel, l.fate AS l_fate
  FROM recomputed r
  FULL OUTER JOIN ledger l ON l.topic_id = r.topic_id AND l.part = r.part AND l.pos = r.pos
  LEFT JOIN copies c ON c.topic_id = r.topic_id AND c.part = r.part AND c.pos = r.pos
 WHERE r.pos IS NULL OR l.pos IS NULL OR l.fate <> {_COUNTED} OR c.pos IS NOT NULL OR r.score <> l.score
    OR r.verdict <> l.verdict OR r.event_us <> l.event_us OR r.community <> l.community
    OR r.model_version <> l.model_version OR r.policy_version <> l.policy_version OR r.repairs <> l.repairs
"""

# The first cause that applies, in the order of ``Cause``; each needs evidence other than the difference itself.
_CAUSES = f"""
SELECT u.*, CASE
       WHEN NOT u.in_lake AND u.pos >= COALESCE(k.archived, 0) THEN '{Cause.UNARCHIVED}'
       WHEN NOT u.in_ledger AND u.pos >= COALESCE(k.next, 0) THEN '{Cause.UNPROCESSED}'
       WHEN NOT u.in_ledger AND u.is_quarantined THEN '{Cause.QUARANTINED}'
       WHEN NOT u.in_ledger AND d.pos IS NULL THEN '{Cause.LOST}'
       WHEN NOT u.in_lake THEN '{Cause.PHANTOM}'
       WHEN NOT u.in_ledger AND d.failed THEN '{Cause.UNEXPLAINED}'
       WHEN NOT u.in_ledger OR (u.is_replay AND u.l = 0) THEN '{Cause.RECOVERED}'
       WHEN u.is_late AND u.l = 0 THEN '{Cause.LATE}'
       WHEN u.is_copy AND u.l = 1 THEN '{Cause.DUPLICATE}'
       WHEN u.b_policy <> u.l_policy THEN '{Cause.POLICY}'
       WHEN u.b_model <> u.l_model OR u.b_kernel <> u.l_kernel THEN '{Cause.RESCORED}'
       ELSE '{Cause.UNEXPLAINED}' END AS cause
  FROM unequal u
  LEFT JOIN cuts k ON k.topic_id = u.topic_id AND k.part = u.part
  LEFT JOIN letters d ON d.topic_id = u.topic_id AND d.part = u.part AND d.pos = u.pos
 WHERE u.b = 1 OR u.l = 1
"""


def _side(side: str, sign: str) -> str:
    return f"""
    SELECT topic_id, part, pos, cause, {side}_community AS community,
           {side}_event_us - {side}_event_us % {PANE_US} AS start_us,
           {side}_model AS model_version, {side}_policy AS policy_version, {sign}1 AS comments,
           {sign}CASE WHEN {side}_verdict = {_REVIEW} THEN 1 ELSE 0 END AS reviews,
           {sign}CASE WHEN {side}_verdict = {_REMOVE} THEN 1 ELSE 0 END AS removals,
           {sign}CAST({side}_score AS BIGINT) AS score_sum,
           CASE WHEN other_repairs THEN 1 ELSE 0 END AS other_repairs,
           comment_id, COALESCE(b_event_us, l_event_us) AS event_us, b_score, b_verdict, l_score, l_verdict, l_fate
      FROM causes WHERE {side} = 1"""


_DETAILS = ("comment_id", "event_us", "b_score", "b_verdict", "l_score", "l_verdict", "l_fate")

# A row whose two sides are in different panes is one difference in each. Different repairs alone are a difference.
_DIFFERENCES = f"""
SELECT topic_id, part, pos, cause, community, start_us, model_version, policy_version, {_sums("{}")},
       {", ".join(f"MAX({name}) AS {name}" for name in _DETAILS)}
  FROM ({_side("b", "")}
     UNION ALL {_side("l", "-")}) sides
 GROUP BY topic_id, part, pos, cause, community, start_us, model_version, policy_version
HAVING {" OR ".join(f"SUM({measure}) <> 0" for measure in MEASURES)} OR MAX(other_repairs) = 1
"""

_PANE_CAUSES = f"""
SELECT {_KEYS}, cause, CAST(COUNT(*) AS BIGINT) AS differing, {_sums("{}")}
  FROM differences GROUP BY {_KEYS}, cause
"""

_AGES = f"""
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
    "copies": _COPIES,
    "batch_panes": _BATCH_PANES,
    "unequal": _UNEQUAL,
    "causes": _CAUSES,
    "differences": _DIFFERENCES,
    "pane_causes": _PANE_CAUSES,
    "ages": _AGES,
    "panes": _PANES,
    "agreement": _AGREEMENT,
}
"""All statements by the name of their table, in order."""
RESULTS = ("panes", "pane_causes", "ages", "differences", "agreement")
"""The tables that are the result."""
