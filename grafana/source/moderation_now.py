"""Dashboard *Moderation now*: arrivals, verdicts and open reviews."""

from __future__ import annotations

from grafana.source.model import Column, Dashboard, Panel, Sql
from grafana.source.variables import (
    COMMUNITY,
    MODEL_COLUMN,
    SERVED_VERSION,
    TOPIC,
    VERDICT_COLOURS,
    Addresses,
    link_variables,
)

UID = "moderation-now"

_CHOSEN = (
    "topic = ${topic:sqlstring} AND community = ANY(ARRAY[${community:sqlstring}]::text[])"
    " AND model_version = ANY(ARRAY[${model_version:sqlstring}]::text[])"
)
_NOW_US = "(extract(epoch FROM now()) * 1000000)::bigint"
_HOUR_AGO = f"minute_us >= {_NOW_US} - 3600000000"

RATE = Sql(f"""\
SELECT coalesce(sum(decisions), 0)::float8 / 5 AS comments FROM serving.decision_minutes
 WHERE {_CHOSEN} AND minute_us >= {_NOW_US} / 60000000 * 60000000 - 300000000
   AND minute_us < {_NOW_US} / 60000000 * 60000000""")
ALERTS = Sql(f"""\
SELECT coalesce(sum(decisions) FILTER (WHERE verdict = 'review'), 0)::bigint AS review,
       coalesce(sum(decisions) FILTER (WHERE verdict = 'remove'), 0)::bigint AS remove
  FROM serving.decision_minutes WHERE {_CHOSEN} AND {_HOUR_AGO}""")
WATERMARK = Sql(f"""\
SELECT max({_NOW_US} - watermark_us) / 1e6::float8 AS delay
  FROM serving.watermarks WHERE topic = ${{topic:sqlstring}} AND watermark_us IS NOT NULL""")
VERDICTS = Sql(f"""\
SELECT to_timestamp(minute_us / 1e6) AS time, verdict AS metric, sum(decisions)::bigint AS value
  FROM serving.decision_minutes
 WHERE {_CHOSEN} AND minute_us >= $__unixEpochNanoFrom() / 1000 AND minute_us < $__unixEpochNanoTo() / 1000
 GROUP BY minute_us, verdict ORDER BY 1, 2""")
COMMUNITIES = Sql(f"""\
SELECT community, sum(decisions)::bigint AS comments,
       coalesce(sum(decisions) FILTER (WHERE verdict = 'review'), 0)::bigint AS review,
       coalesce(sum(decisions) FILTER (WHERE verdict = 'remove'), 0)::bigint AS remove,
       (coalesce(sum(decisions) FILTER (WHERE verdict <> 'allow'), 0) / sum(decisions))::float8 AS alert_share,
       (coalesce(sum(decisions) FILTER (WHERE fate = 'late'), 0) / sum(decisions))::float8 AS late_share
  FROM serving.decision_minutes WHERE {_CHOSEN} AND {_HOUR_AGO}
 GROUP BY community ORDER BY sum(decisions) FILTER (WHERE verdict <> 'allow') DESC NULLS LAST, community""")
NEWEST = Sql(f"""\
SELECT to_timestamp(append_us / 1e6) AS arrived, community, verdict, score_ppm / 1e6::float8 AS score,
       (SELECT string_agg(reason, ', ') FROM jsonb_array_elements_text(reasons) reason) AS reasons,
       comment_id, model_version, to_timestamp(event_time_us / 1e6) AS written
  FROM serving.alerts
 WHERE {_CHOSEN} AND append_us >= $__unixEpochNanoFrom() / 1000 AND append_us < $__unixEpochNanoTo() / 1000
 ORDER BY append_us DESC LIMIT 100""")
HOURS = Sql("""\
SELECT to_timestamp(start_us / 1e6) AS hour, community, comments, reviews, removals, late,
       CASE WHEN state = 'final' THEN 'final, revision ' || revision
            WHEN is_closed AND is_reopened THEN 'provisional, closed, re-opened since'
            WHEN is_closed THEN 'provisional, closed' ELSE 'provisional, open' END AS state, error_p95
  FROM serving.tumbling_windows
 WHERE topic = ${topic:sqlstring} AND community = ANY(ARRAY[${community:sqlstring}]::text[])
   AND start_us >= $__unixEpochNanoFrom() / 1000 - 3600000000 AND start_us < $__unixEpochNanoTo() / 1000
 ORDER BY start_us DESC, community LIMIT 500""")

_SHARE = Column(unit="percentunit")


def moderation_now(addresses: Addresses) -> Dashboard:
    """Return the dashboard."""
    return Dashboard(
        uid=UID,
        title="Moderation now",
        description="Arrivals, verdicts and open reviews.",
        variables=(TOPIC, COMMUNITY, SERVED_VERSION, *link_variables(addresses)),
        since="now-6h",
        refresh="1m",
        panels=(
            Panel(
                "Comments a minute",
                "Decisions of the last five full minutes. If it is 0 while comments arrive, see the lag in Pipeline "
                "health and `moderation status`.",
                "stat",
                (RATE,),
                width=8,
                height=4,
            ),
            Panel(
                "Alerts in the last hour",
                "Comments that the model sent to review or removed. If moderators cannot read that many, raise the "
                "precision goal or lower `reviews_per_day` at the next training. A sudden jump is a raid or a new "
                "model: see the communities below and dashboard Models.",
                "stat",
                (ALERTS,),
                width=8,
                height=4,
            ),
            Panel(
                "Watermark delay",
                "Current time minus the watermark of the slowest partition; ten minutes are normal, because panes "
                "stay open that long. It also grows while a topic is idle; windows close nevertheless. If it is large "
                "while comments arrive, they arrive late, or the worker is behind (see Pipeline health).",
                "stat",
                (WATERMARK,),
                width=8,
                height=4,
                unit="s",
                thresholds=((0, "green"), (1_800, "orange"), (7_200, "red")),
            ),
            Panel(
                "Decisions a minute by verdict",
                "By the time of arrival. The share of review and remove should follow traffic; a step without a step "
                "in traffic is a model swap (see Models) or a raid. The panel covers the last two days at most.",
                "timeseries",
                (VERDICTS,),
                width=24,
                is_stacked=True,
            ),
            Panel(
                "Communities in the last hour",
                "Communities with the most alerts first. If the alert share of a community is unusual, read its newest "
                "alerts. A large late share means that its comments arrive too late to count in live statistics.",
                "table",
                (COMMUNITIES,),
                columns={
                    "alert_share": Column("alerts", unit="percentunit"),
                    "late_share": Column("late", unit="percentunit"),
                },
            ),
            Panel(
                "Hours by event time",
                "Comments by hour of event time. Final hours were recomputed from the lake. Open hours still change; "
                "error p95 is how much such hours changed in the past. Take it into account before you act.",
                "table",
                (HOURS,),
                columns={"error_p95": Column("error p95", unit="percentunit")},
            ),
            Panel(
                "Newest alerts",
                "Newest alerts with the words that contributed most to the score. If the reasons make no sense, check "
                "the model card of the version in MLflow; roll back if the version is new.",
                "table",
                (NEWEST,),
                width=24,
                height=11,
                columns={
                    "verdict": Column(colours=VERDICT_COLOURS),
                    "score": _SHARE,
                    "model_version": MODEL_COLUMN,
                    "reasons": Column(width=320),
                },
            ),
        ),
    )
