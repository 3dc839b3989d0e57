"""Dashboard *Models*: serving history, agreement with moderators and workload of model versions."""

from __future__ import annotations

from grafana.source.model import Column, Dashboard, Panel, Sql
from grafana.source.variables import COMMUNITY, MODEL_COLUMN, SERVED_VERSION, TOPIC, Addresses, link_variables

UID = "moderation-models"

_TOPIC = "topic = ${topic:sqlstring}"
_VERSIONS = "model_version = ANY(ARRAY[${model_version:sqlstring}]::text[])"
_COMMUNITIES = "community = ANY(ARRAY[${community:sqlstring}]::text[])"

SERVED = Sql(f"""\
SELECT to_timestamp(min(since_us) / 1e6) AS first_decision, to_timestamp(max(since_us) / 1e6) AS on_all_since,
       count(*) AS partitions, model_version, policy_version, kernel_version,
       override
  FROM (SELECT s.*, row_number() OVER (PARTITION BY partition ORDER BY from_offset) AS nth
          FROM serving.served_versions s WHERE {_TOPIC}) s
 WHERE {_VERSIONS}
 GROUP BY nth, model_version, policy_version, kernel_version, override ORDER BY 1 DESC NULLS LAST, nth DESC""")
HISTORY = Sql(f"""\
SELECT to_timestamp(since_us / 1e6) AS since, to_timestamp(until_us / 1e6) AS until, version AS model_version, replaced,
       kind, promoted_by, reason, gate, gate_reasons, override
  FROM serving.model_history WHERE {_TOPIC} ORDER BY since_us DESC NULLS LAST, version DESC LIMIT 100""")
BY_VERSION = Sql(f"""\
SELECT to_timestamp(minute_us / 1e6) AS time, 'version ' || model_version AS metric, sum(decisions)::bigint AS value
  FROM serving.decision_minutes
 WHERE {_TOPIC} AND {_COMMUNITIES} AND {_VERSIONS}
   AND minute_us >= $__unixEpochNanoFrom() / 1000 AND minute_us < $__unixEpochNanoTo() / 1000
 GROUP BY minute_us, model_version ORDER BY 1, 2""")


def _counted(action: str, verdict: str = "") -> str:
    condition = f"action = '{action}'" + (f" AND verdict = '{verdict}'" if verdict else "")
    return f"coalesce(sum(comments) FILTER (WHERE {condition}), 0)::bigint"


def _share(action: str, verdict: str) -> str:
    return f"({_counted(action, verdict)}::float8 / nullif({_counted(action)}, 0))"


AGREEMENT = Sql(f"""\
SELECT model_version, {_counted("remove")} AS removed_by_people, {_share("remove", "remove")} AS removed_too,
       {_share("remove", "review")} AS put_to_review, {_share("remove", "allow")} AS missed,
       {_counted("approve")} AS approved_by_people, {_share("approve", "remove")} AS wrongly_removed
  FROM serving.agreement WHERE {_TOPIC} AND {_VERSIONS} AND $__timeFilter(day)
 GROUP BY model_version ORDER BY model_version""")
AGREEMENT_BY_DAY = Sql(f"""\
SELECT day::timestamp AT TIME ZONE 'UTC' AS time, 'version ' || model_version AS metric,
       {_share("remove", "allow")} AS value
  FROM serving.agreement WHERE {_TOPIC} AND {_VERSIONS} AND $__timeFilter(day)
 GROUP BY day, model_version HAVING {_counted("remove")} > 0 ORDER BY 1, 2""")
WORKLOAD = Sql(f"""\
SELECT day::timestamp AT TIME ZONE 'UTC' AS time, community AS metric, sum(reviews)::bigint AS value
  FROM serving.workload WHERE {_TOPIC} AND {_COMMUNITIES} AND {_VERSIONS} AND $__timeFilter(day)
 GROUP BY day, community ORDER BY 1, 2""")
WORKLOAD_BY_VERSION = Sql(f"""\
SELECT model_version, policy_version, sum(comments)::bigint AS comments,
       (sum(reviews) / nullif(sum(comments), 0))::float8 AS review_share,
       (sum(removals) / nullif(sum(comments), 0))::float8 AS removal_share,
       (sum(score_sum) / nullif(sum(comments), 0) / 1e6)::float8 AS mean_score,
       sum(reviews)::float8 / count(DISTINCT day) AS reviews_per_day, count(DISTINCT day) AS days
  FROM serving.workload WHERE {_TOPIC} AND {_COMMUNITIES} AND {_VERSIONS} AND $__timeFilter(day)
 GROUP BY model_version, policy_version ORDER BY max(day) DESC, model_version""")

_PERCENT = "percentunit"


def models(addresses: Addresses) -> Dashboard:
    """Return the dashboard."""
    return Dashboard(
        uid=UID,
        title="Models",
        description="Serving history, agreement with moderators and workload of model versions.",
        variables=(TOPIC, COMMUNITY, SERVED_VERSION, *link_variables(addresses)),
        since="now-7d",
        panels=(
            Panel(
                "Who served when",
                "Changes of the serving version, newest first. Empty times are older than the decisions in the "
                "ledger. If a version was not promoted, or serves only some partitions for long, check `/model` of "
                "every worker.",
                "table",
                (SERVED,),
                width=12,
                columns={
                    "first_decision": Column("first decision"),
                    "on_all_since": Column("on all partitions since"),
                    "model_version": MODEL_COLUMN,
                    "override": Column("served by override"),
                },
            ),
            Panel(
                "Who promoted what, and why",
                "Every version that served or was promoted, newest first. If the alias was moved by hand in MLflow, "
                "ask who did it: `promote_model`, `rollback_model` and `moderation promote` record it. A version "
                "whose gate is not *passed* served against the gate's result, or without one. An override let a "
                "version without certificate serve until its end: judge that version, or promote another one.",
                "table",
                (HISTORY,),
                columns={
                    "model_version": MODEL_COLUMN,
                    "promoted_by": Column("by"),
                    "gate_reasons": Column("reasons of the gate"),
                    "override": Column("served by override"),
                },
            ),
            Panel(
                "Decisions a minute by version",
                "At a swap, one line ends where the next begins. If two versions decide for longer than seconds, a "
                "worker did not load the new version; its log gives the reason.",
                "timeseries",
                (BY_VERSION,),
                width=12,
                is_stacked=True,
            ),
            Panel(
                "Agreement with what people did",
                "Comments with an action of a moderator, by the version that decided them, as of the last "
                "reconciliation of each day. Missed: the model allowed the comment and a moderator removed it. "
                "Moderators see mostly what the model shows them, so compare versions, not absolute shares. If a new "
                "version misses more, roll back.",
                "table",
                (AGREEMENT,),
                width=12,
                columns={
                    "model_version": MODEL_COLUMN,
                    "removed_by_people": Column("removed by people"),
                    "removed_too": Column("removed too", unit=_PERCENT),
                    "put_to_review": Column("put to review", unit=_PERCENT),
                    "missed": Column(unit=_PERCENT),
                    "approved_by_people": Column("approved by people"),
                    "wrongly_removed": Column("wrongly removed", unit=_PERCENT),
                },
            ),
            Panel(
                "Missed, day by day",
                "Share of the comments removed by moderators that the version had allowed. A slow rise is drift: "
                "retrain. A step at a swap is caused by the new version: roll back.",
                "timeseries",
                (AGREEMENT_BY_DAY,),
                width=12,
                unit=_PERCENT,
            ),
            Panel(
                "Reviews a day by community",
                "Reviews that the model requests, by day of event time. If a community is above its goal, the policy "
                "was resolved on other traffic: retrain with the goal, or set a goal that it can meet.",
                "timeseries",
                (WORKLOAD,),
                width=12,
                is_stacked=True,
            ),
            Panel(
                "Workload by version",
                "Shares and mean score of each version on the traffic it decided. If the mean score differs much "
                "between versions on the same traffic, check the calibration plots in MLflow.",
                "table",
                (WORKLOAD_BY_VERSION,),
                width=12,
                columns={
                    "model_version": MODEL_COLUMN,
                    "review_share": Column("reviews", unit=_PERCENT),
                    "removal_share": Column("removals", unit=_PERCENT),
                    "mean_score": Column("mean score", unit=_PERCENT),
                    "reviews_per_day": Column("reviews a day"),
                },
            ),
        ),
    )
