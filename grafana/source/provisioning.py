"""Grafana's provisioning files: data sources, dashboard folder and alert rules.

Connections come from the environment and the password from a file; none has a default.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from grafana.source.model import POSTGRES_TYPE, POSTGRES_UID, PROMETHEUS_TYPE, PROMETHEUS_UID, Alert, Dashboard, Sql
from grafana.source.render import panel_id, target

Json = dict[str, Any]

FOLDER = "Moderation"
PASSWORD_FILE = "/run/secrets/moderation_grafana_password"  # noqa: S105 - a path
_EXPRESSION = "__expr__"


def data_sources() -> Json:
    """Return the data sources: PostgreSQL with a role that reads schema serving, and Prometheus."""
    return {
        "apiVersion": 1,
        "prune": True,
        "datasources": [
            {
                "name": "Moderation PostgreSQL",
                "uid": POSTGRES_UID,
                "type": POSTGRES_TYPE,
                "access": "proxy",
                "editable": False,
                "url": "$GRAFANA_POSTGRES_ADDRESS",
                "user": "$GRAFANA_POSTGRES_USER",
                "jsonData": {
                    "database": "$GRAFANA_POSTGRES_DATABASE",
                    "sslmode": "$GRAFANA_POSTGRES_SSLMODE",
                    # Of a private certificate authority; those of the system if empty.
                    "tlsConfigurationMethod": "file-path",
                    "sslRootCertFile": "$GRAFANA_POSTGRES_CA_FILE",
                    "maxOpenConns": 5,
                    "maxIdleConns": 2,
                    "connMaxLifetime": 3600,
                    "timescaledb": False,
                },
                "secureJsonData": {"password": f"$__file{{{PASSWORD_FILE}}}"},
            },
            {
                "name": "Moderation Prometheus",
                "uid": PROMETHEUS_UID,
                "type": PROMETHEUS_TYPE,
                "access": "proxy",
                "editable": False,
                "url": "$GRAFANA_PROMETHEUS_URL",
                "jsonData": {"httpMethod": "POST", "timeInterval": "15s"},
            },
        ],
    }


def dashboard_folder() -> Json:
    """Return the folder in which Grafana finds the dashboards."""
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "comment-moderation",
                "folder": FOLDER,
                "type": "file",
                "disableDeletion": True,
                "allowUiUpdates": False,
                "updateIntervalSeconds": 60,
                "options": {"path": "$GRAFANA_DASHBOARDS_PATH", "foldersFromFilesStructure": False},
            }
        ],
    }


def alert_rules(alerts: Iterable[Alert], dashboards: Iterable[Dashboard]) -> Json:
    """Return the alert rules, one group for each interval."""
    by_uid = {dashboard.uid: dashboard for dashboard in dashboards}
    in_order = sorted(alerts, key=lambda alert: alert.every)
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": f"moderation, every {every}",
                "folder": FOLDER,
                "interval": every,
                "rules": [_rule(alert, by_uid[alert.panel[0]]) for alert in rules],
            }
            for every, rules in groupby(in_order, key=lambda alert: alert.every)
        ],
    }


def _rule(alert: Alert, dashboard: Dashboard) -> Json:
    is_sql = isinstance(alert.query, Sql)
    return {
        "uid": alert.uid,
        "title": alert.title,
        "condition": "B",
        "for": alert.for_duration,
        "noDataState": alert.no_data_state,
        "execErrState": "Error",
        "dashboardUid": dashboard.uid,
        "panelId": panel_id(dashboard, alert.panel[1]),
        "labels": {"severity": alert.severity, "service": "comment-moderation"},
        "annotations": {"summary": alert.summary, "runbook": alert.runbook},
        "data": [
            {
                "refId": "A",
                "datasourceUid": POSTGRES_UID if is_sql else PROMETHEUS_UID,
                "relativeTimeRange": {"from": 600, "to": 0},
                "model": target(alert.query, "A", instant=True),
            },
            {
                "refId": "B",
                "datasourceUid": _EXPRESSION,
                "relativeTimeRange": {"from": 0, "to": 0},
                "model": {
                    "refId": "B",
                    "type": "threshold",
                    "datasource": {"type": _EXPRESSION, "uid": _EXPRESSION},
                    "expression": "A",
                    "conditions": [{"evaluator": {"type": "gt", "params": [alert.above]}}],
                },
            },
        ],
    }
